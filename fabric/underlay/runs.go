package underlay

import "net/netip"

// Runs gathers datagrams that lie one behind the other in memory into runs, as long as they go the same way
// and are of one size. Make it with MakeRuns; it allocates nothing afterwards.
type Runs struct {
	pkts  []Packet
	ended bool // the last run has its short datagram
}

// MakeRuns makes room for n packets.
func MakeRuns(n int) Runs { return Runs{pkts: make([]Packet, 0, n)} }

// Full says that the next datagram may find no room: take Packets and Reset first.
func (r *Runs) Full() bool { return len(r.pkts) == cap(r.pkts) }

// Add puts a datagram behind the others. It joins the last run when it begins where that ends, in the same
// array.
func (r *Runs) Add(d []byte, to netip.AddrPort, tos, lane uint8) {
	if n := len(r.pkts); n > 0 && !r.ended {
		p := &r.pkts[n-1]
		size := p.Seg
		if size == 0 {
			size = len(p.Buf)
		}
		if len(d) <= size && len(d) > 0 && follows(p.Buf, d) && p.Lane == lane && p.TOS == tos && p.Addr == to &&
			len(p.Buf)+len(d) <= MaxRunOctets && len(p.Buf) < MaxRun*size {
			p.Buf, p.Seg = p.Buf[:len(p.Buf)+len(d)], size
			r.ended = len(d) < size
			return
		}
	}
	r.pkts = append(r.pkts, Packet{Buf: d, Addr: to, TOS: tos, Lane: lane})
	r.ended = false
}

// follows says that b lies directly behind a, within a's capacity.
func follows(a, b []byte) bool {
	return len(a)+len(b) <= cap(a) && &a[:len(a)+1][len(a)] == &b[0]
}

// Packets returns what was gathered, in order; good until Reset.
func (r *Runs) Packets() []Packet { return r.pkts }

// Reset forgets everything.
func (r *Runs) Reset() {
	clear(r.pkts)
	r.pkts, r.ended = r.pkts[:0], false
}
