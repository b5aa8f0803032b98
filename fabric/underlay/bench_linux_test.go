package underlay

import "testing"

// batches are what the benchmarks send: 64 datagrams of 1,400 octets, apart and as runs.
func batches(to *Socket) map[string][]Packet {
	var apart, runs []Packet
	for range MaxBatch {
		apart = append(apart, Packet{Buf: append(galleon(""), make([]byte, 1400-len(galleon("")))...), Addr: to.LocalAddr(), TOS: 1})
	}
	for range 2 {
		run, _ := runOf(1400, MaxBatch/2, 0)
		runs = append(runs, Packet{Buf: run, Seg: 1400, Addr: to.LocalAddr(), TOS: 1})
	}
	return map[string][]Packet{"datagrams": apart, "runs": runs}
}

// thereAndBack sends p and reads as many datagrams.
func thereAndBack(t testing.TB, from, to *Socket, p, in []Packet) {
	if err := from.WriteBatch(p); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < MaxBatch; {
		n, err := to.ReadBatch(0, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range in[:n] {
			got += p.Count()
		}
	}
}

func TestBatchesDoNotAllocate(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, o := range []Options{{}, {NoOffload: true}} {
			a, b := listen(t, addr, o), listen(t, addr, o)
			for name, p := range batches(b) {
				in := buffers(8)
				if n := testing.AllocsPerRun(50, func() { thereAndBack(t, a, b, p, in) }); n >= 1 {
					t.Errorf("%s, %+v: %d %s there and back allocate %v times", addr, o, MaxBatch, name, n)
				}
			}
		}
	}
}

func BenchmarkLoopback(b *testing.B) {
	for name, o := range map[string]Options{"offloads": {}, "plain": {NoOffload: true}} {
		from, to := listen(b, "127.0.0.1:0", o), listen(b, "127.0.0.1:0", o)
		for what, p := range batches(to) {
			b.Run(name+"/"+what, func(b *testing.B) {
				in := buffers(8)
				b.SetBytes(MaxBatch * 1400)
				b.ReportAllocs()
				for b.Loop() {
					thereAndBack(b, from, to, p, in)
				}
			})
		}
	}
}
