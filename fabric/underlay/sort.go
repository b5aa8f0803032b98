package underlay

import "github.com/galleon-net/galleon/fabric/wire"

// sort moves Galleon packets to the front and returns their number. What is QUIC's goes to its queue.
func (s *Socket) sort(p []Packet) int {
	ours := 0
	for i := range p {
		q := &p[i]
		switch {
		case len(q.Buf) == 0, IsVirtual(q.Addr):
			s.count.strange.Add(uint64(q.Count()))
		case s.sift(q):
			p[ours], p[i] = p[i], p[ours]
			ours++
		}
	}
	return ours
}

// sift takes out of p what is not Galleon's and says whether anything is left. A kernel joins what one
// five-tuple sends, so that QUIC packets may lie between ours, wherever the sizes happen to fit.
func (s *Socket) sift(p *Packet) bool {
	if p.Count() > 1 {
		s.count.inRuns.Add(1)
	}
	kept, count := 0, 0 // octets and datagrams that stay
	for i := range p.Count() {
		d := p.Datagram(i)
		switch {
		case wire.IsGalleon(d[0]):
			if kept != i*p.Seg {
				copy(p.Buf[kept:], d)
			}
			kept += len(d)
			count++
		case wire.IsQUIC(d[0]):
			s.count.quicIn.Add(1)
			s.quic.push(d, p.Addr)
		default:
			s.count.strange.Add(1)
		}
	}
	if count == 0 {
		return false
	}
	s.count.in.Add(uint64(count))
	s.count.inBytes.Add(uint64(kept))
	p.Buf = p.Buf[:kept]
	if count == 1 {
		p.Seg = 0
	}
	return true
}
