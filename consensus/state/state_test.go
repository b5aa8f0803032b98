package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// story runs commands, one JSON object a line, against a state. Public keys are written as a word and
// stretched to 32 bytes; hashes likewise.
type story struct {
	s       *State
	now     time.Time
	entries []AuditEntry
	key     int
}

func (st *story) apply(t *testing.T, line string) string {
	var raw map[string]any
	if err := json.Unmarshal([]byte(line), &raw); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	stretch(raw)
	b, _ := json.Marshal(raw)
	var c Command
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	c.Time = st.now
	if c.Key == "" {
		st.key++
		c.Key = fmt.Sprint("k", st.key)
	}
	if c.Author == "" {
		c.Author = "ana"
	}
	before, _ := st.s.Encode()
	next, res, entry := st.s.Apply(st.s.Index+1, c)
	if after, _ := st.s.Encode(); !bytes.Equal(before, after) {
		t.Fatalf("%s changed the state that it was applied to", line)
	}
	st.s = next
	if entry != nil {
		st.entries = append(st.entries, *entry)
		if next.Audit.Hash != entry.Hash {
			t.Fatalf("the head is not the last entry")
		}
	}
	switch {
	case res.Err != nil:
		return fmt.Sprintf("%s: %s", res.Err.Code, res.Err.Message)
	case entry == nil:
		return fmt.Sprintf("done before at index %d", res.Index)
	case res.Epoch != 0:
		return fmt.Sprintf("ok: %s (epoch %d)", entry.What, res.Epoch)
	}
	return "ok: " + entry.What
}

func stretch(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case map[string]any:
			stretch(v)
		case string:
			if k == "public_key" && len(v) < 40 {
				b := make([]byte, 32)
				copy(b, v)
				m[k] = b
			}
			if k == "hash" || k == "token_hash" {
				var b [32]byte
				copy(b[:], v)
				m[k] = b
			}
			if k == "expires" && strings.HasPrefix(v, "+") {
				d, _ := time.ParseDuration(v[1:])
				m[k] = epoch.Add(d)
			}
		}
	}
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		st := &story{s: New(), now: epoch}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				var out []string
				for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
					out = append(out, st.apply(t, line))
				}
				return strings.Join(out, "\n") + "\n"
			case "advance":
				by, err := time.ParseDuration(d.CmdArgs[0].Key)
				if err != nil {
					t.Fatal(err)
				}
				st.now = st.now.Add(by)
				return ""
			case "routers":
				var b strings.Builder
				for _, r := range st.s.Live() {
					fmt.Fprintf(&b, "%s %s loopbacks=%v grants=%v\n", r.ID, r.Name, r.Loopbacks, st.s.GrantsOf(r.ID))
				}
				for _, region := range st.s.Regions() {
					o := st.s.Owners[region]
					fmt.Fprintf(&b, "owner of %s: %s epoch %d\n", region, o.Router, o.Epoch)
				}
				fmt.Fprintf(&b, "voters %v\n", st.s.Members)
				return b.String()
			case "audit":
				if err := VerifyAudit(st.entries); err != nil {
					t.Fatal(err)
				}
				var b strings.Builder
				for _, e := range st.entries {
					fmt.Fprintf(&b, "%d %s %s %s\n", e.Seq, e.Time.Format("15:04:05"), e.Author, e.What)
				}
				return b.String()
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
		// Whatever the story was, the state reads back as itself.
		b, err := st.s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if b2, _ := again.Encode(); !bytes.Equal(b, b2) {
			t.Errorf("the state reads back differently:\n%s\n%s", b, b2)
		}
	})
}

func TestAuditChainBreaks(t *testing.T) {
	s := New()
	var entries []AuditEntry
	for i, c := range []Command{initCommand(), {CreateBucket: &CreateBucket{object.Bucket{Name: "one"}}}, {CreateBucket: &CreateBucket{object.Bucket{Name: "two"}}}} {
		next, res, e := s.Apply(uint64(i+1), c)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		s, entries = next, append(entries, *e)
	}
	if err := VerifyAudit(entries); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		bad := append([]AuditEntry(nil), entries...)
		bad[i].Author = "mallory"
		if VerifyAudit(bad) == nil {
			t.Errorf("entry %d was altered and nobody noticed", i+1)
		}
	}
	if VerifyAudit([]AuditEntry{entries[0], entries[2]}) == nil {
		t.Error("an entry was taken out and nobody noticed")
	}
}

func initCommand() Command {
	return Command{Time: epoch, Author: "ana", Init: &Init{
		Cluster: Cluster{ID: "c1", FabricMTU: 1380, FeatureLevel: 1, Loopbacks: prefixes("100.127.0.0/16", "fd67::/64")},
		Router:  NewRouter{PublicKey: bytes.Repeat([]byte{1}, 32), Feature: 1}, Region: "ap-tokyo", Zone: "ap-tokyo-a",
	}}
}

// TestNoHalfApplied applies random commands, most of them senseless, and checks after each refusal that
// nothing changed but the index and the remembered outcome.
func TestNoHalfApplied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _, _ := New().Apply(1, initCommand())
		id := rapid.Uint32Range(0, 3)
		name := rapid.SampledFrom([]string{"a", "aaa", "bbb", "UPPER"})
		prefix := rapid.SampledFrom(prefixes("10.0.0.0/24", "10.0.0.0/16", "10.1.0.0/24", "0.0.0.0/0", "100.127.0.0/24"))
		for i := range rapid.IntRange(1, 30).Draw(t, "commands") {
			router := topo.RouterID(id.Draw(t, "router"))
			grant := Grant{Router: router, Prefix: topo.SegPrefix{Prefix: prefix.Draw(t, "prefix")}}
			c := rapid.SampledFrom([]Command{
				{GrantPrefix: &GrantPrefix{grant}}, {WithdrawPrefix: &WithdrawPrefix{grant}},
				{CreateBucket: &CreateBucket{object.Bucket{Name: name.Draw(t, "bucket")}}}, {DeleteBucket: &DeleteBucket{name.Draw(t, "bucket")}},
				{ApplyPolicies: &ApplyPolicies{[]object.Policy{{Name: "p", Bucket: name.Draw(t, "bucket"), From: object.RegionSet{All: true}, To: object.RegionSet{All: true}}}}},
				{RevokeRouter: &RevokeRouter{router}}, {SetMembers: &SetMembers{[]topo.RouterID{router}}},
				{CreatePool: &CreatePool{Pool{Name: name.Draw(t, "pool"), Range: grant.Prefix, Bits: 24}}},
				{CreateToken: &CreateToken{Token{ID: name.Draw(t, "token"), Region: "mx-q", Zone: "mx-q-a", Pool: name.Draw(t, "pool"), Expires: epoch.Add(time.Hour)}}},
				{Join: &Join{TokenID: name.Draw(t, "token"), Router: NewRouter{PublicKey: bytes.Repeat([]byte{byte(i + 2)}, 32)}}},
				{},
			}).Draw(t, "command")
			next, res, entry := s.Apply(s.Index+1, c)
			if (res.Err == nil) == (entry == nil) {
				t.Fatalf("error %v and audit entry %v", res.Err, entry)
			}
			if res.Err != nil {
				same := *next
				same.Index = s.Index
				a, _ := s.Encode()
				b, _ := same.Encode()
				if !bytes.Equal(a, b) {
					t.Fatalf("refused with %v and yet changed", res.Err)
				}
			}
			for _, g := range next.Grants {
				for _, h := range next.Grants {
					if g.Prefix.Overlaps(h.Prefix) && next.Routers[g.Router].Region != next.Routers[h.Router].Region {
						t.Fatalf("%v and %v overlap", g, h)
					}
				}
			}
			s = next
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	b, err := EncodeCommand(initCommand())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{1, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeCommand(b); err == nil {
			s, _, _ := New().Apply(1, initCommand())
			s.Apply(2, c)
		}
	})
}

func FuzzDecode(f *testing.F) {
	s, _, _ := New().Apply(1, initCommand())
	b, _ := s.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Decode(b); err == nil {
			if _, err := s.Encode(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNthBlock(t *testing.T) {
	for _, c := range []struct {
		pool  string
		n     uint64
		width int
		want  string
	}{
		{"100.127.0.0/16", 1, 0, "100.127.0.1"}, {"100.127.0.0/16", 257, 0, "100.127.1.1"}, {"100.127.0.0/16", 65536, 0, ""},
		{"10.0.0.0/8", 3, 8, "10.0.3.0"}, {"10.0.0.0/8", 300, 8, "10.1.44.0"}, {"10.0.0.0/8", 5, 4, "10.0.0.80"}, {"10.0.0.0/30", 1, 8, ""},
		{"fd67::/48", 2, 64, "fd67:0:0:2::"}, {"fd67::/64", 70000, 0, "fd67::1:1170"},
	} {
		a, ok := nthBlock(prefixes(c.pool)[0], c.n, c.width)
		if got := a.String(); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("block %d of 2^%d in %s: %s %v, want %s", c.n, c.width, c.pool, got, ok, c.want)
		}
	}
}
