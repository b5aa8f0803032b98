package tun_test

import (
	"net/netip"
	"testing"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

// What a packet of 64 octets costs to read, and to write to a host that has no use for it.
func BenchmarkRead(b *testing.B) {
	d, r := open(b, "galleon%d", tun.Options{}, tuntest.All)
	arena, pkts := make([]byte, 4*tun.MaxPacket), make([]tun.Packet, 64)
	payload := make([]byte, 36)
	b.ReportAllocs()
	for left := 0; b.Loop(); left-- {
		if left <= 0 {
			b.StopTimer()
			for range 400 {
				if err := r.Send(r.Peer4, payload); err != nil {
					b.Fatal(err)
				}
			}
			left = 400 / len(pkts)
			b.StartTimer()
		}
		if _, err := d.ReadBatch(arena, pkts); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(pkts)), "ns/packet")
}

func BenchmarkWrite(b *testing.B) {
	d, r := open(b, "galleon%d", tun.Options{}, tuntest.All)
	pkts := make([]tun.Packet, 64)
	for i := range pkts {
		pkts[i].Buf = tuntest.UDPPacket(r.Peer4, netip.MustParseAddrPort("10.77.0.2:9"), make([]byte, 36))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.WriteBatch(pkts); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(pkts)), "ns/packet")
}
