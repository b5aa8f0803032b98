package underlay

import (
	"fmt"
	"net/netip"
)

const (
	// MaxBatch is how many packets, runs among them, one system call moves. Longer batches are cut.
	MaxBatch = 64

	// MaxRun is how many datagrams a run holds. Linux took 64 when it learned to cut runs (UDP_MAX_SEGMENTS
	// in 4.18) and takes 128 today.
	MaxRun = 64

	// MaxRunOctets is the most that a run holds: what a single datagram could, over IPv4.
	MaxRunOctets = 65_535 - 20 - 8

	// ReadLen is the capacity in octets that a Buf for reading needs, so that any run fits.
	ReadLen = 64 << 10
)

// Packet is one datagram, or a run of them, and the address it came from or goes to.
//
//	Buf   +-- Seg --+-- Seg --+-- Seg --+-- Seg --+- rest -+     a run of five; all share Addr, TOS and Lane
//
// A run costs the kernel little more than a datagram: it passes its stack whole and is cut by the network
// interface, or just before (generic segmentation offload, GSO); and what arrives close together comes up
// joined again (generic receive offload, GRO).
type Packet struct {
	Buf  []byte         // one datagram, or a run: datagrams of Seg octets each, the last may be shorter
	Seg  int            // octets of each datagram of a run; 0 is one datagram
	Addr netip.AddrPort // the other end's
	TOS  uint8          // DSCP and ECN of the outer IP header (RFC 2474, RFC 3168), when sending and when read
	Lane uint8          // sending: from which source port; 0 is the port itself, and stands for a lane that is not there
}

// Count is how many datagrams p holds. An empty Buf is one, of no octets.
func (p Packet) Count() int {
	if p.Seg <= 0 || len(p.Buf) <= p.Seg {
		return 1
	}
	return (len(p.Buf) + p.Seg - 1) / p.Seg
}

// Datagram returns the i-th datagram of p, from 0. Its capacity ends where the next begins.
func (p Packet) Datagram(i int) []byte {
	if p.Seg <= 0 {
		return p.Buf
	}
	end := min((i+1)*p.Seg, len(p.Buf))
	return p.Buf[i*p.Seg : end : end]
}

// check panics over a run that no kernel takes: its maker has miscounted.
func (p Packet) check() {
	if p.Seg != 0 && (p.Seg < 0 || len(p.Buf) > MaxRunOctets || p.Count() > MaxRun) {
		panic(fmt.Sprintf("underlay: a run of %d octets in datagrams of %d; at most %d octets and %d datagrams", len(p.Buf), p.Seg, MaxRunOctets, MaxRun))
	}
}
