package fabric

import (
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/underlay"
)

// What a packet costs in the data path without its system calls, on one core.
func BenchmarkDataPath(b *testing.B) {
	l := newLineup(b)
	buf := make([]byte, 0, 2048)
	reply := &icmpReplies{}
	in := &inward{toTUN: make([][]byte, 0, 4), toPeer: make([]underlay.Packet, 0, 4)}
	now := time.Unix(1_800_000_000, 0)
	v1, v2 := l.f[1].view.Load(), l.f[2].view.Load()
	for name, pkt := range map[string][]byte{"sealed and opened": packet("10.1.0.5", "10.2.0.9", 1400, "x"), "sealed and relayed": packet("10.1.0.5", "10.3.0.9", 1400, "x")} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1400)
			b.ReportAllocs()
			for b.Loop() {
				p, ok := l.f[1].outward(v1, pkt, buf, reply)
				if !ok {
					b.Fatal("not sent")
				}
				in.toTUN, in.toPeer = in.toTUN[:0], in.toPeer[:0]
				l.f[2].handle(v2, now, underlay.Packet{Buf: p.Buf, Addr: addrOf(1)}, in)
			}
		})
	}
}
