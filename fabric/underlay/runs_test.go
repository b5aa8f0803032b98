package underlay

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestRunsAreWhatTheKernelTakes adds datagrams of random sizes to random places: what comes out is the same
// octets in the same order, in packets that pass check.
func TestRunsAreWhatTheKernelTakes(t *testing.T) {
	addrs := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:1")}
	rapid.Check(t, func(t *rapid.T) {
		arena := make([]byte, 0, 200_000)
		type one struct {
			d    []byte
			addr netip.AddrPort
			tos  uint8
			lane uint8
		}
		var want []one
		r := MakeRuns(200)
		size := 1448
		o := one{addr: addrs[0]}
		for range rapid.IntRange(1, 150).Draw(t, "datagrams") {
			length := size
			switch rapid.IntRange(0, 19).Draw(t, "change") {
			case 0:
				size = rapid.IntRange(1, 2000).Draw(t, "size")
				length = size
			case 1:
				length = rapid.IntRange(0, 2000).Draw(t, "length")
			case 2:
				o.addr = addrs[rapid.IntRange(0, 1).Draw(t, "addr")]
			case 3:
				o.tos = rapid.Uint8Range(0, 2).Draw(t, "tos")
			case 4:
				o.lane = rapid.Uint8Range(0, 2).Draw(t, "lane")
			case 5: // a hole
				arena = append(arena, 0)
			}
			if len(arena)+length > cap(arena) || r.Full() {
				break
			}
			start := len(arena)
			for i := range length {
				arena = append(arena, byte(i*7+len(want)))
			}
			o.d = arena[start:]
			r.Add(o.d, o.addr, o.tos, o.lane)
			o.d = append([]byte(nil), o.d...)
			want = append(want, o)
		}
		i := 0
		for _, p := range r.Packets() {
			p.check()
			for k := range p.Count() {
				if w := want[i]; string(p.Datagram(k)) != string(w.d) || p.Addr != w.addr || p.TOS != w.tos || p.Lane != w.lane {
					t.Fatalf("datagram %d came out as %d octets to %v, want %d to %v", i, len(p.Datagram(k)), p.Addr, len(w.d), w.addr)
				}
				i++
			}
		}
		if i != len(want) {
			t.Fatalf("%d datagrams, want %d", i, len(want))
		}
	})
}

func TestARowOfOneSizeIsOneRun(t *testing.T) {
	arena := make([]byte, 45*1448+100)
	r := MakeRuns(4)
	to := netip.MustParseAddrPort("192.0.2.1:1")
	for i := range 45 {
		r.Add(arena[i*1448:(i+1)*1448], to, 0, 0)
	}
	r.Add(arena[45*1448:], to, 0, 0)
	if p := r.Packets(); len(p) != 1 || p[0].Count() != 46 || p[0].Seg != 1448 {
		t.Errorf("%d runs", len(p))
	}
	if n := testing.AllocsPerRun(10, func() { r.Reset(); r.Add(arena[:10], to, 0, 0); r.Add(arena[10:20], to, 0, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
