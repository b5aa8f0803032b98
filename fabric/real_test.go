package fabric

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// The same mesh over the kernel's UDP, on the loopback interface: what the simulated network leaves out
// is batches, don't-fragment and the real clock.
func TestOverTheKernelsUDP(t *testing.T) {
	a, b, meshes := realPair(t, 1400)
	for _, pkt := range [][]byte{packet(host4(1), host4(2), 1400, "x"), packet(host6(1), host6(2), 60, "x")} {
		deadline := time.After(10 * time.Second)
		retry := time.NewTicker(20 * time.Millisecond)
		defer retry.Stop()
	wait:
		for {
			select {
			case got := <-b.Delivered():
				if string(got) == string(pkt) {
					break wait
				}
			case <-retry.C:
				a.Inject(pkt)
			case <-deadline:
				t.Fatal("nothing arrives")
			}
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, m := range meshes {
		for laneStates(m) != "used used used used" {
			if time.Now().After(deadline) {
				t.Fatalf("lanes: %s", laneStates(m))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// laneStates is how a mesh of two sees its lanes.
func laneStates(m *Mesh) string {
	var s []string
	for _, p := range m.Status().Peers {
		if p.Link != nil {
			for _, n := range p.Link.Lanes {
				s = append(s, n.State)
			}
		}
	}
	return strings.Join(s, " ")
}

// realPair is two meshed routers over 127.0.0.1.
func realPair(t testing.TB, mtu int) (a, b *tuntest.Fake, meshes []*Mesh) {
	t.Helper()
	ca := authority(t)
	conf := Config{Cluster: cluster, Incarnation: 1, FabricMTU: mtu}
	var socks []*underlay.Socket
	var creds []*keys.Credential
	for id := topo.RouterID(1); id <= 2; id++ {
		s, err := underlay.Listen(netip.MustParseAddrPort("127.0.0.1:0"), socketHere())
		if err != nil {
			t.Fatal(err)
		}
		key := generate(t)
		socks, creds = append(socks, s), append(creds, credential(t, ca, id, key))
		conf.Routers = append(conf.Routers, Router{
			ID: id, Region: "ap-tokyo", Zone: "ap-tokyo-a", PublicKey: key.Public(), Endpoints: []netip.AddrPort{s.LocalAddr()},
			Grants: []topo.SegPrefix{prefix(netip.PrefixFrom(netip.MustParseAddr(host4(id)), 16).Masked().String()),
				prefix(netip.PrefixFrom(netip.MustParseAddr(host6(id)), 32).Masked().String())},
		})
	}
	devs := []*tuntest.Fake{tuntest.NewWith("galleon0", mtu, offloadsHere()), tuntest.NewWith("galleon0", mtu, offloadsHere())}
	for i := range devs {
		m := New(Env{Socket: socks[i], Device: devs[i]})
		meshes = append(meshes, m)
		m.offers &^= lacksHere()
		c := conf
		c.Self = topo.RouterID(i + 1)
		c.Announce = conf.Routers[i].Grants
		if err := m.Set(c, creds[i]); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("router %d ended: %v", i+1, err)
			}
		})
	}
	return devs[0], devs[1], meshes
}
