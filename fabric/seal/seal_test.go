package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

var (
	suites     = []Suite{AES128GCM, ChaCha20Poly1305}
	testSecret = Secret{1, 2, 3, 4, 5, 6, 7, 8}
	dataHeader = wire.Header{Type: wire.Data, HopLimit: wire.MaxHops, Class: topo.ClassInteractive}
)

const alice, bob, relay topo.RouterID = 1, 2, 3

// pairOfEnds is one lane from alice to bob.
func pairOfEnds(t testing.TB, suite Suite) (*Sender, *Opener) {
	t.Helper()
	s, err := NewSender(testSecret, suite, alice, bob, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(testSecret, suite, alice, bob, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func TestSealedComesBack(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite.String(), func(t *testing.T) {
			s, o := pairOfEnds(t, suite)
			rapid.Check(t, func(t *rapid.T) {
				payload := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")
				h := dataHeader
				h.Segment = topo.SegmentID(rapid.Uint16().Draw(t, "segment"))
				pkt, err := s.Seal(nil, h, payload)
				if err != nil || len(pkt) != wire.HeaderLen+len(payload)+wire.SealLen {
					t.Fatalf("sealed %d octets to %d, %v", len(payload), len(pkt), err)
				}
				got, err := wire.Parse(pkt)
				h.Source, h.Dest, h.Epoch, h.Counter = alice, bob, 7, got.Counter
				if err != nil || got != h {
					t.Fatalf("header %+v, %v; want %+v", got, err, h)
				}
				back, err := o.Open(nil, pkt)
				if err != nil || !bytes.Equal(back, payload) {
					t.Fatalf("opened %x, %v; want %x", back, err, payload)
				}
			})
		})
	}
}

func TestInPlace(t *testing.T) {
	for _, suite := range suites {
		s, o := pairOfEnds(t, suite)
		buf := make([]byte, wire.HeaderLen, 2048)
		buf = append(buf, "an IP packet read behind the room for its header"...)
		want := string(buf[wire.HeaderLen:])
		pkt, err := s.Seal(buf[:0], dataHeader, buf[wire.HeaderLen:])
		if err != nil || &pkt[0] != &buf[0] {
			t.Fatalf("%s: sealed elsewhere, or %v", suite, err)
		}
		got, err := o.Open(pkt[wire.HeaderLen:wire.HeaderLen], pkt)
		if err != nil || string(got) != want || &got[0] != &buf[wire.HeaderLen] {
			t.Fatalf("%s: opened %q, %v", suite, got, err)
		}
	}
}

// TestEveryBitCounts flips each bit of a packet, alone: none may pass. Direct, the one octet that is
// not under the seal is the hop limit; relayed, the link tag covers that as well.
func TestEveryBitCounts(t *testing.T) {
	tagger, err := NewTagger(Secret{9}, alice, relay)
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range suites {
		s, o := pairOfEnds(t, suite)
		pkt, err := s.Seal(nil, dataHeader, []byte("forty-two octets that an attacker may touch"))
		if err != nil {
			t.Fatal(err)
		}
		eachBit(pkt, func(where string, octet int, bad []byte) {
			h, err := wire.Parse(bad)
			if err != nil {
				return
			}
			if octet == 1 && !h.Tagged { // the hop limit, which the egress does not use
				return
			}
			if h.Tagged {
				if _, ok := tagger.CheckTag(bad); ok {
					t.Errorf("%s: %s became a link tag", suite, where)
				}
				return
			}
			if _, err := o.Open(nil, bad); err == nil {
				t.Errorf("%s: opened with %s flipped", suite, where)
			}
		})
		tagged := tagger.AppendTag(bytes.Clone(pkt))
		passed := 0
		eachBit(tagged, func(where string, octet int, bad []byte) {
			if _, ok := tagger.CheckTag(bytes.Clone(bad)); !ok {
				return // the relay drops it
			}
			// The tag stands for the header, the length and the end; what it lets pass breaks the seal.
			passed++
			rest, _ := tagger.CheckTag(bad)
			if _, err := o.Open(nil, rest); err == nil {
				t.Errorf("%s: opened with %s of a relayed packet flipped", suite, where)
			}
		})
		if middle := (len(pkt) - wire.HeaderLen - wire.SealLen) * 8; passed != middle {
			t.Errorf("%s: the tag let %d flips pass, want the %d of the sealed payload", suite, passed, middle)
		}
		if _, err := o.Open(nil, pkt); err != nil {
			t.Errorf("%s: forgeries moved the window: %v", suite, err)
		}
	}
}

func eachBit(pkt []byte, f func(where string, octet int, bad []byte)) {
	for i := range len(pkt) * 8 {
		bad := bytes.Clone(pkt)
		bad[i/8] ^= 1 << (i % 8)
		f(fmt.Sprintf("octet %d bit %d", i/8, i%8), i/8, bad)
	}
}

// TestKeysAreApart: a packet opens under exactly the secret, suite, direction, epoch and lane it was
// sealed for.
func TestKeysAreApart(t *testing.T) {
	type key struct {
		secret   Secret
		suite    Suite
		from, to topo.RouterID
		epoch    uint16
		lane     uint8
	}
	keys := []key{
		{testSecret, AES128GCM, alice, bob, 7, 0},
		{Secret{2}, AES128GCM, alice, bob, 7, 0},
		{testSecret, ChaCha20Poly1305, alice, bob, 7, 0},
		{testSecret, AES128GCM, bob, alice, 7, 0},
		{testSecret, AES128GCM, alice, relay, 7, 0},
		{testSecret, AES128GCM, alice, bob, 8, 0},
		{testSecret, AES128GCM, alice, bob, 7, 1},
	}
	for i, k := range keys {
		s, err := NewSender(k.secret, k.suite, k.from, k.to, k.epoch, k.lane)
		if err != nil {
			t.Fatal(err)
		}
		pkt, err := s.Seal(nil, dataHeader, []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		for j, l := range keys {
			o, err := NewOpener(l.secret, l.suite, l.from, l.to, l.epoch, l.lane)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Open(nil, pkt); (err == nil) != (i == j) {
				t.Errorf("sealed with %d, opened with %d: %v", i, j, err)
			}
		}
	}
}

func TestReplayAndForgedCounters(t *testing.T) {
	s, o := pairOfEnds(t, AES128GCM)
	var pkts [][]byte
	for range 5 {
		p, err := s.Seal(nil, dataHeader, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		pkts = append(pkts, p)
	}
	for _, i := range []int{1, 0, 4, 2} {
		if _, err := o.Open(nil, pkts[i]); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if _, err := o.Open(nil, pkts[i]); !errors.Is(err, ErrReplay) {
			t.Fatalf("packet %d again: %v", i, err)
		}
	}
	forged := bytes.Clone(pkts[3])
	forged[16+4] = 0x0f // a counter far ahead
	if _, err := o.Open(nil, forged); !errors.Is(err, ErrAuth) {
		t.Fatalf("forged counter: %v", err)
	}
	forged[16] = 0xff // beyond any
	if _, err := o.Open(nil, forged); !errors.Is(err, ErrAuth) {
		t.Fatalf("impossible counter: %v", err)
	}
	if _, err := o.Open(nil, pkts[3]); err != nil {
		t.Fatalf("packet 3, late but genuine: %v", err)
	}
}

func TestExhausted(t *testing.T) {
	s, _ := pairOfEnds(t, AES128GCM)
	s.next = MaxPackets - 1
	if _, err := s.Seal(nil, dataHeader, nil); err != nil {
		t.Fatalf("the last packet: %v", err)
	}
	if dst, err := s.Seal([]byte("kept"), dataHeader, nil); !errors.Is(err, ErrExhausted) || string(dst) != "kept" {
		t.Fatalf("one more: %q, %v", dst, err)
	}
	if s.Used() != 1 {
		t.Fatalf("used %v", s.Used())
	}

	s, _ = pairOfEnds(t, AES128GCM)
	s.blocks = maxBlocks - 4
	if _, err := s.Seal(nil, dataHeader, make([]byte, 17)); !errors.Is(err, ErrExhausted) {
		t.Fatalf("two blocks with one left: %v", err)
	}
	if _, err := s.Seal(nil, dataHeader, make([]byte, 16)); err != nil {
		t.Fatalf("one block with one left: %v", err)
	}
}

func TestSessionIsNotSealed(t *testing.T) {
	s, o := pairOfEnds(t, AES128GCM)
	if _, err := s.Seal(nil, wire.Header{Type: wire.Session}, nil); err == nil {
		t.Error("sealed a session packet")
	}
	pkt := wire.Header{Type: wire.Session, Tagged: true, Source: alice, Dest: bob, Epoch: 7}.Append(nil)
	if _, err := o.Open(nil, append(pkt, make([]byte, 40)...)); !errors.Is(err, ErrAuth) {
		t.Errorf("opened a session packet: %v", err)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := Secret{0xab, 0xcd, 0xef}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		for _, v := range []any{s, &s, Offer{Secret: s}} {
			out := fmt.Sprintf(verb, v)
			for _, leak := range []string{"171", "abcd", "ABCD", "0xab"} {
				if bytes.Contains([]byte(out), []byte(leak)) {
					t.Errorf("%s of %T prints %s", verb, v, out)
				}
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	for _, suite := range suites {
		s, _ := pairOfEnds(t, suite)
		tagger, _ := NewTagger(testSecret, alice, bob)
		buf := make([]byte, 0, 2048)
		payload := make([]byte, 1400)
		var pkts [][]byte
		for range 300 {
			p, _ := s.Seal(nil, dataHeader, payload)
			pkts = append(pkts, append(make([]byte, 0, 2048), p...))
		}
		_, o := pairOfEnds(t, suite)
		i := 0
		for name, f := range map[string]func(){
			"Seal": func() { s.Seal(buf, dataHeader, payload) },
			"Open": func() {
				if _, err := o.Open(buf, pkts[i]); err != nil {
					t.Fatal(err)
				}
				i++
			},
			"AppendTag and CheckTag": func() { tagger.CheckTag(tagger.AppendTag(pkts[299])) },
		} {
			if n := testing.AllocsPerRun(200, f); n != 0 {
				t.Errorf("%s %s allocates %v times", suite, name, n)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	s, err := NewSender(testSecret, AES128GCM, alice, bob, 7, 0)
	if err != nil {
		f.Fatal(err)
	}
	genuine := map[string]bool{}
	for i := range 4 {
		p, err := s.Seal(nil, dataHeader, make([]byte, i*10))
		if err != nil {
			f.Fatal(err)
		}
		genuine[string(p)] = true
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		o, err := NewOpener(testSecret, AES128GCM, alice, bob, 7, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(nil, pkt); err == nil {
			pkt[1] = wire.MaxHops
			if !genuine[string(pkt)] {
				t.Fatalf("opened a packet that nobody sealed: %x", pkt)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) { benchmark(b, true) }
func BenchmarkOpen(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, sealing bool) {
	for _, suite := range suites {
		b.Run(suite.String(), func(b *testing.B) {
			s, o := pairOfEnds(b, suite)
			payload, buf := make([]byte, 1400), make([]byte, 0, 2048)
			pkt, _ := s.Seal(nil, dataHeader, payload)
			b.SetBytes(1400)
			b.ReportAllocs()
			for b.Loop() {
				if sealing {
					s.Seal(buf, dataHeader, payload)
				} else {
					o.seen = window{}
					o.Open(buf, pkt)
				}
			}
		})
	}
}

func BenchmarkLinkTag(b *testing.B) {
	tagger, _ := NewTagger(testSecret, alice, bob)
	pkt := append(dataHeader.Append(make([]byte, 0, 2048)), make([]byte, 1400)...)
	b.ReportAllocs()
	for b.Loop() {
		tagger.CheckTag(tagger.AppendTag(pkt))
	}
}
