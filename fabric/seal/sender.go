package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// What callers choose by.
var (
	ErrExhausted = errors.New("seal: the key of this lane is used up, a new epoch is needed")
	ErrReplay    = errors.New("seal: counter seen before, or too old to tell")
	ErrAuth      = errors.New("seal: not sealed by the router that the header names")
)

const (
	// MaxPackets is how many packets one key seals (RFC 9001 appendix B.1).
	MaxPackets = 1 << 28
	// maxBlocks is the same limit in AES blocks, for packets of more than 2^11 octets.
	maxBlocks = 1 << 35
	blockLen  = 16
)

// Sender seals the packets of one lane in one direction. It may be used by several goroutines: a lane
// has one goroutine and, now and then, a probe, so that the lock is nearly always free.
type Sender struct {
	from, to topo.RouterID
	epoch    uint16
	lane     uint8
	aead     cipher.AEAD
	iv       [ivLen]byte

	mu     sync.Mutex
	next   uint64      // counter of the next packet, at most MaxPackets
	blocks uint64      // sealed so far, at most maxBlocks
	nonce  [ivLen]byte // scratch: on the stack it would escape into the AEAD
}

// NewSender makes the sealing end of a lane.
func NewSender(s Secret, suite Suite, from, to topo.RouterID, epoch uint16, lane uint8) (*Sender, error) {
	aead, iv, err := direction(s, suite, from, to, epoch, lane)
	if err != nil {
		return nil, err
	}
	return &Sender{from: from, to: to, epoch: epoch, lane: lane, aead: aead, iv: iv}, nil
}

// Seal appends header and sealed payload to dst. Of h it uses type, hop limit, class, ECN and
// segment, and sets the rest itself. Nothing is allocated when dst has room for the payload and
// HeaderLen+SealLen more (leave TagLen for a link tag). The payload may lie in place, at
// dst[len(dst)+HeaderLen:], but must not overlap otherwise.
func (s *Sender) Seal(dst []byte, h wire.Header, payload []byte) ([]byte, error) {
	if h.Type == wire.Session {
		return dst, fmt.Errorf("seal %s to %s: a session packet is not sealed", s.from, s.to)
	}
	h.Source, h.Dest, h.Epoch, h.Lane, h.Tagged = s.from, s.to, s.epoch, s.lane, false

	s.mu.Lock()
	defer s.mu.Unlock()
	counter, err := s.reserve(1, len(payload))
	if err != nil {
		return dst, err
	}
	h.Counter = counter

	start := len(dst)
	dst = h.Append(dst)
	head := dst[start:]
	hop := head[1]
	head[1] = 0
	s.nonce = nonce(s.iv, h.Counter)
	dst = s.aead.Seal(dst, s.nonce[:], payload, head)
	dst[start+1] = hop
	return dst, nil
}

// reserve takes n counters, and the share of the key that n packets of octets in all use up. The lock is
// held.
func (s *Sender) reserve(n, octets int) (first uint64, err error) {
	// At most: no packet's payload may end with a whole block.
	blocks := uint64((octets+n*(blockLen-1))/blockLen + n*(wire.HeaderLen/blockLen+2))
	if s.next+uint64(n) > MaxPackets || s.blocks+blocks > maxBlocks {
		return 0, ErrExhausted
	}
	first = s.next
	s.next += uint64(n)
	s.blocks += blocks
	return first, nil
}

// Used returns the share of the key that is used, 0 to 1.
func (s *Sender) Used() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(float64(s.next)/MaxPackets, float64(s.blocks)/maxBlocks)
}

// nonce is RFC 9001 section 5.3.
func nonce(iv [ivLen]byte, counter uint64) [ivLen]byte {
	last := iv[ivLen-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^counter)
	return iv
}
