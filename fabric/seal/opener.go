package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"sync"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// Opener opens the packets of one lane in one direction. It may be used by several goroutines.
type Opener struct {
	from, to topo.RouterID
	epoch    uint16
	lane     uint8
	aead     cipher.AEAD
	iv       [ivLen]byte

	mu    sync.Mutex
	seen  window
	nonce [ivLen]byte          // scratch, as in Sender
	aad   [wire.HeaderLen]byte // scratch: a caller's packet is not written to
}

// NewOpener makes the opening end of a lane; from is the peer.
func NewOpener(s Secret, suite Suite, from, to topo.RouterID, epoch uint16, lane uint8) (*Opener, error) {
	aead, iv, err := direction(s, suite, from, to, epoch, lane)
	if err != nil {
		return nil, err
	}
	return &Opener{from: from, to: to, epoch: epoch, lane: lane, aead: aead, iv: iv}, nil
}

// Open appends to dst the payload of pkt, a whole packet without link tag, and marks its counter as
// seen. To open in place give pkt[HeaderLen:HeaderLen]; the payload is then overwritten also when the
// packet proves false. Errors are ErrReplay, ErrAuth, or those of wire.Parse.
func (o *Opener) Open(dst, pkt []byte) ([]byte, error) {
	if len(pkt) < wire.HeaderLen+wire.SealLen {
		return nil, wire.ErrShort
	}
	// The seal itself covers the header; what is looked at here only spares the decryption.
	if wire.Type(pkt[0]&0x0f) == wire.Session || !wire.IsGalleon(pkt[0]) {
		return nil, ErrAuth
	}
	counter := binary.BigEndian.Uint64(pkt[16:])

	// A counter beyond what a Sender may use is a forgery; without this bound one that a broken peer
	// did seal would push the window to the end of the number space.
	if counter >= MaxPackets {
		return nil, ErrAuth
	}
	o.mu.Lock()
	if !o.seen.fresh(counter) {
		o.mu.Unlock()
		return nil, ErrReplay
	}
	copy(o.aad[:], pkt)
	o.aad[1] = 0
	o.nonce = nonce(o.iv, counter)
	out, err := o.aead.Open(dst, o.nonce[:], pkt[wire.HeaderLen:], o.aad[:])
	if err == nil {
		o.seen.mark(counter)
	}
	o.mu.Unlock()
	if err != nil {
		return nil, ErrAuth
	}
	return out, nil
}
