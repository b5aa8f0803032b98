package node

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
	"github.com/galleon-net/galleon/fabric/topo"
)

// joining is a token, the key of the router that uses it, and a good answer.
func joining(t *testing.T, now time.Time) (keys.Token, keys.Private, *state.State, joinReply, *keystest.Cluster) {
	t.Helper()
	c := keystest.New("g5a1c", now)
	id := c.Identity(7)
	cred := c.Join(7, now, certLife)
	caHash, err := keys.HashCA(c.Root.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	token := keys.Token{ID: "k3x", Cluster: "g5a1c", Incarnation: 1, CAHash: caHash, Region: id.Region, Zone: id.Zone}
	s := state.New()
	s.Index = 12
	s.Cluster = state.Cluster{ID: "g5a1c", Incarnation: 1}
	s.Routers = map[RouterID]state.Router{7: {ID: 7, Name: "test-7-1", Region: id.Region, Zone: id.Zone, PublicKey: cred.Key.Public()}}
	a := joinReply{Route: 7}
	a.Chain = cred.Chain
	copy(a.TenantKey[:], "tenant key")
	return token, cred.Key, s, a, c
}

// TestAccept takes a good answer, and none that differs from what the token promises.
func TestAccept(t *testing.T) {
	now := time.Now()
	for _, k := range []struct {
		what   string
		change func(token *keys.Token, key *keys.Private, s *state.State, a *joinReply, c *keystest.Cluster)
		want   string // empty: it is taken
	}{
		{"as promised", nil, ""},
		{"another cluster", func(tk *keys.Token, _ *keys.Private, _ *state.State, _ *joinReply, _ *keystest.Cluster) {
			tk.Cluster = "g0000"
		}, "not what the token says"},
		{"another life of the cluster", func(_ *keys.Token, _ *keys.Private, s *state.State, _ *joinReply, _ *keystest.Cluster) {
			s.Cluster.Incarnation = 2
		}, "not what the token says"},
		{"another region", func(tk *keys.Token, _ *keys.Private, _ *state.State, _ *joinReply, _ *keystest.Cluster) {
			tk.Region = "ap-tokyo"
		}, "not what the token says"},
		{"another zone", func(tk *keys.Token, _ *keys.Private, _ *state.State, _ *joinReply, _ *keystest.Cluster) {
			tk.Zone = "test-8"
		}, "not what the token says"},
		{"a router that is not there", func(_ *keys.Token, _ *keys.Private, _ *state.State, a *joinReply, _ *keystest.Cluster) { a.Route = 8 }, "not what the token says"},
		{"another key", func(_ *keys.Token, key *keys.Private, _ *state.State, _ *joinReply, c *keystest.Cluster) {
			*key = c.Join(8, now, time.Hour).Key
		}, "not what the token says"},
		{"another router's certificate", func(_ *keys.Token, key *keys.Private, _ *state.State, a *joinReply, c *keystest.Cluster) {
			a.Chain = c.Issue(*key, c.Identity(9), now, time.Hour).Chain
		}, "the catalog says"},
		{"another authority", func(tk *keys.Token, _ *keys.Private, _ *state.State, _ *joinReply, _ *keystest.Cluster) {
			tk.CAHash[0] ^= 1
		}, "the root that the token names"},
		{"no certificate", func(_ *keys.Token, _ *keys.Private, _ *state.State, a *joinReply, _ *keystest.Cluster) { a.Chain = nil }, "no certificate"},
		{"a clock that is behind", func(_ *keys.Token, key *keys.Private, _ *state.State, a *joinReply, c *keystest.Cluster) {
			a.Chain = c.Issue(*key, c.Identity(7), now.Add(3*time.Hour), time.Hour).Chain
		}, "check the clocks of both machines"},
		{"a certificate that has ended", func(_ *keys.Token, _ *keys.Private, s *state.State, a *joinReply, _ *keystest.Cluster) {
			old := keystest.New("g5a1c", now.AddDate(0, 0, -90))
			a.Chain = old.Join(7, now.AddDate(0, 0, -60), time.Hour).Chain
		}, "let it renew, or join again"},
	} {
		token, key, s, a, c := joining(t, now)
		if k.change != nil {
			k.change(&token, &key, s, &a, c)
		}
		var err error
		if a.State, err = s.Encode(); err != nil {
			t.Fatal(err)
		}
		id, got, err := accept(token, key, a)
		switch {
		case k.want != "":
			if err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("%s: %v, want %q", k.what, err, k.want)
			}
		case err != nil:
			t.Errorf("%s: %v", k.what, err)
		case id.Router != 7 || id.Name != "test-7-1" || id.TenantKey != a.TenantKey || got.Index != 12:
			t.Errorf("%s: %+v", k.what, id)
		}
	}
	token, key, _, a, _ := joining(t, now)
	a.State = []byte("no catalog")
	if _, _, err := accept(token, key, a); err == nil {
		t.Error("a catalog that cannot be read was taken")
	}
}

// FuzzAccept gives a joiner answers that nobody should send.
func FuzzAccept(f *testing.F) {
	f.Add([]byte(`{"router":"r7","chain":["AA=="],"tenant_key":[1],"state":"AA=="}`))
	f.Add([]byte(`{"error":{"code":"denied","message":"no"}}`))
	key, err := keys.Generate(randReader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a joinReply
		if json.NewDecoder(bytes.NewReader(b)).Decode(&a) != nil {
			return
		}
		if _, _, err := accept(keys.Token{Cluster: "g5a1c", Incarnation: 1}, key, a); err == nil {
			t.Error("accepted")
		}
	})
}

type stillListener struct{ net.Listener }

func (stillListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6zero, Port: 9000} }

func TestEndpoints(t *testing.T) {
	machine := []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("fd00:1::1"), netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("2001:2::1")}
	own := []topo.SegPrefix{{Prefix: netip.MustParsePrefix("10.1.0.0/24")}, {Prefix: netip.MustParsePrefix("fd00:1::/64")}}
	for _, k := range []struct {
		yaml             string
		prefixes         []topo.SegPrefix
		forward, control string
		s3               string
	}{
		{"", own, "[198.18.0.1:4700 [2001:2::1]:4700]", "[198.18.0.1:4701 [2001:2::1]:4701]", "http://10.1.0.1:9000"},
		{"", nil, "[198.18.0.1:4700 [fd00:1::1]:4700 10.1.0.1:4700 [2001:2::1]:4700]", "[198.18.0.1:4701 [fd00:1::1]:4701 10.1.0.1:4701 [2001:2::1]:4701]", ""},
		{"listen: {forward: '198.18.0.1:5000'}", own, "[198.18.0.1:5000]", "[198.18.0.1:4701 [2001:2::1]:4701]", "http://10.1.0.1:9000"},
		{"advertise: {forward: ['192.0.2.1:1'], control: ['192.0.2.1:2'], s3: 'https://s3.example'}", own, "[192.0.2.1:1]", "[192.0.2.1:2]", "https://s3.example"},
	} {
		cfg, err := config.Parse("test", []byte(k.yaml))
		if err != nil {
			t.Fatal(err)
		}
		c := &Control{env: ControlEnv{Config: cfg, S3: stillListener{}, Addresses: func() []netip.Addr { return machine }}}
		forward, control, s3 := c.endpoints(k.prefixes)
		if text(forward) != k.forward || text(control) != k.control || s3 != k.s3 {
			t.Errorf("%q: forward %v, control %v, s3 %q", k.yaml, forward, control, s3)
		}
	}
}

func text(list []netip.AddrPort) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return "[" + strings.Join(out, " ") + "]"
}
