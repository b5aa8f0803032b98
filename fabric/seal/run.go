package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/galleon-net/galleon/fabric/wire"
)

// Run seals a row of packets that have all but their payload in common: the lock is taken and the header
// encoded once for all of them. The zero value is ready for Begin. It belongs to one goroutine and is used
// again and again, since what the AEAD is given must not lie on a stack.
type Run struct {
	sender *Sender
	next   uint64 // counter of the next packet
	end    uint64 // of the first that is not ours
	octets int    // that may still be sealed
	head   [wire.HeaderLen]byte
	hop    byte // head[1], which the seal does not cover
	nonce  [ivLen]byte
}

// Begin takes the counters of n packets of octets of payload in all. Of h it uses type, hop limit, class,
// Partial, ECN and segment. ErrExhausted says that the key does not last for so many; none is then taken.
func (r *Run) Begin(s *Sender, h wire.Header, n, octets int) error {
	if h.Type == wire.Session || n <= 0 {
		return fmt.Errorf("seal %d packets of type %s from %s to %s: nothing to seal", n, h.Type, s.from, s.to)
	}
	h.Source, h.Dest, h.Epoch, h.Lane, h.Tagged = s.from, s.to, s.epoch, s.lane, false
	s.mu.Lock()
	first, err := s.reserve(n, octets)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	r.sender, r.next, r.end, r.octets = s, first, first+uint64(n), octets
	h.Append(r.head[:0])
	r.hop, r.head[1] = r.head[1], 0
	return nil
}

// Seal appends the next packet to dst, as Sender.Seal does. It panics when the row that was asked for is over.
func (r *Run) Seal(dst, payload []byte) []byte {
	if r.next >= r.end || len(payload) > r.octets {
		panic(fmt.Sprintf("seal: a packet of %d octets in a run that has %d packets and %d octets left", len(payload), r.end-r.next, r.octets))
	}
	r.octets -= len(payload)
	binary.BigEndian.PutUint64(r.head[wire.HeaderLen-8:], r.next)
	r.nonce = nonce(r.sender.iv, r.next)
	r.next++
	start := len(dst)
	dst = append(dst, r.head[:]...)
	dst = r.sender.aead.Seal(dst, r.nonce[:], payload, r.head[:])
	dst[start+1] = r.hop
	return dst
}
