package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

func anyHeader(t *rapid.T) Header {
	h := Header{
		Type:     Type(rapid.IntRange(1, 15).Draw(t, "type")),
		HopLimit: uint8(rapid.IntRange(0, 63).Draw(t, "hop")),
		Tagged:   rapid.Bool().Draw(t, "tagged"),
		Class:    topo.Class(rapid.IntRange(0, 7).Draw(t, "class")),
		ECN:      uint8(rapid.IntRange(0, 3).Draw(t, "ecn")),
		Lane:     uint8(rapid.IntRange(0, MaxLanes-1).Draw(t, "lane")),
		Segment:  topo.SegmentID(rapid.Uint16().Draw(t, "segment")),
		Epoch:    rapid.Uint16().Draw(t, "epoch"),
		Source:   topo.RouterID(rapid.Uint32Min(1).Draw(t, "source")),
		Dest:     topo.RouterID(rapid.Uint32Min(1).Draw(t, "dest")),
		Counter:  rapid.Uint64().Draw(t, "counter"),
	}
	h.Tagged = h.Tagged || h.Type == Session
	return h
}

func TestHeaderComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHeader(t)
		b := h.Append([]byte("before"))[6:]
		if len(b) != HeaderLen || !IsGalleon(b[0]) || IsQUIC(b[0]) || IsTagged(b) != h.Tagged {
			t.Fatalf("%+v encoded as %x", h, b)
		}
		got, err := Parse(append(b, make([]byte, SealLen+TagLen)...))
		if err != nil || got != h {
			t.Fatalf("%+v came back as %+v, %v", h, got, err)
		}
	})
}

func TestHeaderAppendPanicsOutOfRange(t *testing.T) {
	good := Header{Type: Data, Source: 1, Dest: 2}
	for name, spoil := range map[string]func(*Header){
		"type 0":  func(h *Header) { h.Type = 0 },
		"type 16": func(h *Header) { h.Type = 16 },
		"hop 64":  func(h *Header) { h.HopLimit = 64 },
		"class 8": func(h *Header) { h.Class = 8 },
		"ecn 4":   func(h *Header) { h.ECN = 4 },
		"lane 16": func(h *Header) { h.Lane = MaxLanes },
	} {
		h := good
		spoil(&h)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was encoded", name)
				}
			}()
			h.Append(nil)
		}()
	}
}

// TestFirstByte walks all 256: ours, QUIC's, and those of neither never overlap (RFC 9443).
func TestFirstByte(t *testing.T) {
	for i := range 256 {
		b := byte(i)
		if want := i >= 128 && i <= 191; IsGalleon(b) != want {
			t.Errorf("IsGalleon(%d) = %v", i, !want)
		}
		if want := i >= 64 && i <= 127 || i >= 192; IsQUIC(b) != want {
			t.Errorf("IsQUIC(%d) = %v", i, !want)
		}
	}
}

func TestTakeHopEndsALoop(t *testing.T) {
	b := Header{Type: Data, HopLimit: MaxHops, Tagged: true, Source: 1, Dest: 2}.Append(nil)
	hops := 0
	for TakeHop(b) {
		hops++
	}
	if hops != MaxHops-1 || !IsTagged(b) {
		t.Fatalf("%d relays carried it, want %d; tagged %v", hops, MaxHops-1, IsTagged(b))
	}
}

func TestProbeComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := ProbeBody{
			Path:     rapid.Uint8().Draw(t, "path"),
			Seq:      rapid.Uint32().Draw(t, "seq"),
			Sent:     rapid.Int64().Draw(t, "sent"),
			Received: rapid.Uint64().Draw(t, "received"),
			Size:     rapid.IntRange(ProbeLen, 9000).Draw(t, "size"),
		}
		if p.Echo = rapid.Bool().Draw(t, "echo"); p.Echo {
			p.EchoSeq = rapid.Uint32().Draw(t, "echoseq")
			p.EchoSent = rapid.Int64().Draw(t, "echosent")
			p.Held = time.Duration(rapid.Uint32().Draw(t, "held")) * time.Microsecond
		}
		if rapid.Bool().Draw(t, "report") {
			p.Size = max(p.Size, ProbeLen+ReportLen)
			p.Report = Report{Present: true, LossPPM: rapid.Uint32Max(1_000_000).Draw(t, "loss"),
				MTU: rapid.Uint16().Draw(t, "mtu"), Lanes: rapid.Uint16().Draw(t, "lanes")}
			if p.Echo {
				p.Report.Heard = rapid.Uint64().Draw(t, "heard") | 1
			}
		}
		got, err := ParseProbe(AppendProbe(nil, p))
		if err != nil || got != p {
			t.Fatalf("%+v came back as %+v, %v", p, got, err)
		}
	})
}

func TestProbeHeldIsClamped(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		-time.Second:                      0,
		1999 * time.Nanosecond:            time.Microsecond,
		100 * 24 * time.Hour:              math.MaxUint32 * time.Microsecond,
		time.Duration(math.MaxInt64):      math.MaxUint32 * time.Microsecond,
		math.MaxUint32 * time.Microsecond: math.MaxUint32 * time.Microsecond,
	} {
		p, err := ParseProbe(AppendProbe(nil, ProbeBody{Echo: true, Held: in}))
		if err != nil || p.Held != want {
			t.Errorf("held %v came back as %v, %v; want %v", in, p.Held, err, want)
		}
	}
}

// TestAgreeIsFair: whoever dials, the pair ends with the same terms.
func TestAgreeIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := func(who string) Hello {
			suites := rapid.SampledFrom([][4]uint8{{1}, {2}, {1, 2}, {2, 1}, {2, 1, 3}, {3, 1}}).Draw(t, who+" suites")
			return Hello{Lanes: uint8(rapid.IntRange(1, MaxLanes).Draw(t, who+" lanes")), Suites: suites,
				MTU: uint16(rapid.IntRange(MinMTU, 9000).Draw(t, who+" mtu")), Features: rapid.Uint64().Draw(t, who+" features")}
		}
		a, b := one("a"), one("b")
		x, errX := Agree(a, b)
		y, errY := Agree(b, a)
		if (errX == nil) != (errY == nil) || x != y {
			t.Fatalf("a dials: %+v %v; b dials: %+v %v", x, errX, y, errY)
		}
		if errX == nil {
			if got, err := ParseHello(AppendHello(nil, x)); err != nil || got != x {
				t.Fatalf("answer %+v is read as %+v, %v", x, got, err)
			}
		}
	})
}

func TestCodecsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 2048)
	h := Header{Type: Data, HopLimit: 8, Source: 1, Dest: 2}
	full := append(h.Append(nil), make([]byte, SealLen)...)
	probe := AppendProbe(nil, ProbeBody{Size: 1400})
	for name, f := range map[string]func(){
		"Header.Append": func() { h.Append(buf) },
		"Parse":         func() { Parse(full) },
		"AppendProbe":   func() { AppendProbe(buf, ProbeBody{Size: 1400}) },
		"ParseProbe":    func() { ParseProbe(probe) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, h := range []Header{
		{Type: Data, HopLimit: 8, Source: 1, Dest: 2},
		{Type: Session, HopLimit: 8, Tagged: true, Source: 1, Dest: 2},
		{Type: 15, HopLimit: 63, Tagged: true, Class: 7, ECN: 3, Lane: 15, Segment: 9, Epoch: 9, Source: 9, Dest: 9, Counter: 9},
	} {
		f.Add(append(h.Append(nil), make([]byte, 40)...))
	}
	f.Add([]byte{0x81})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrShort) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrField) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if again := h.Append(nil); !bytes.Equal(again, b[:HeaderLen]) {
			t.Fatalf("%x is read as %+v, which is %x", b[:HeaderLen], h, again)
		}
	})
}

func FuzzProbe(f *testing.F) {
	f.Add(AppendProbe(nil, ProbeBody{Seq: 1, Sent: 2, Size: 60}))
	f.Add(AppendProbe(nil, ProbeBody{Seq: 1, Sent: 2, Echo: true, EchoSeq: 3, EchoSent: 4, Held: time.Millisecond}))
	f.Add(AppendProbe(nil, ProbeBody{Seq: 1, Echo: true, EchoSeq: 3, Report: Report{Present: true, Heard: 5, MTU: 1448, Lanes: 15}}))
	f.Add(make([]byte, ProbeLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProbe(b)
		if err != nil {
			return
		}
		if again := AppendProbe(nil, p); !bytes.Equal(again[:known(p)], b[:known(p)]) || len(again) != len(b) {
			t.Fatalf("%x is read as %+v, which is %x", b, p, again)
		}
	})
}

// known is how much of a probe body has a meaning.
func known(p ProbeBody) int {
	if p.Report.Present {
		return ProbeLen + ReportLen
	}
	return ProbeLen
}

func FuzzHello(f *testing.F) {
	f.Add(AppendHello(nil, Hello{Epoch: 1, Lanes: 1, MTU: 1280, Suites: [4]uint8{1, 2}}))
	f.Add(AppendHello(nil, Hello{Answer: true, Epoch: 1, Lanes: 1, MTU: 1280, Suites: [4]uint8{2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHello(b)
		if err != nil {
			return
		}
		if again, err := ParseHello(AppendHello(nil, h)); err != nil || again != h {
			t.Fatalf("%+v comes back as %+v, %v", h, again, err)
		}
		if _, err := Agree(h, h); err != nil {
			t.Fatalf("%+v does not agree with itself: %v", h, err)
		}
	})
}
