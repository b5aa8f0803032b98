package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// tagTail is how much of a packet's end the link tag covers: the AEAD tag of a sealed one.
const tagTail = 16

// Tagger makes and checks the link tags of one hop in one direction. It holds nothing but a key, so
// any number of goroutines may use it.
type Tagger struct{ k0, k1 uint64 }

// NewTagger makes the Tagger of the direct link from one router to another; s is the secret of an
// epoch of that pair, not of the pair whose packets are relayed.
func NewTagger(s Secret, from, to topo.RouterID) (*Tagger, error) {
	key, err := expand(s, labelTag, routers(from, to), 16)
	if err != nil {
		return nil, err
	}
	return &Tagger{binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])}, nil
}

// AppendTag sets the tag bit of pkt, a whole packet without tag, and appends the tag. It allocates
// nothing when pkt has room for TagLen more.
func (t *Tagger) AppendTag(pkt []byte) []byte {
	if len(pkt) < wire.HeaderLen+tagTail {
		panic(fmt.Sprintf("seal: link tag for a packet of %d octets", len(pkt)))
	}
	wire.SetTagged(pkt, true)
	return binary.BigEndian.AppendUint64(pkt, t.sum(pkt))
}

// CheckTag takes the tag off pkt and clears the tag bit, so that the rest can be opened, or relayed
// with another tag. When the tag is missing or false it returns pkt unchanged and false.
func (t *Tagger) CheckTag(pkt []byte) ([]byte, bool) {
	n := len(pkt) - wire.TagLen
	if n < wire.HeaderLen+tagTail || !wire.IsTagged(pkt) {
		return pkt, false
	}
	// The comparison of two 64-bit words takes the same time whatever they are.
	if binary.BigEndian.Uint64(pkt[n:]) != t.sum(pkt[:n]) {
		return pkt, false
	}
	pkt = pkt[:n]
	wire.SetTagged(pkt, false)
	return pkt, true
}

func (t *Tagger) sum(pkt []byte) uint64 {
	var m [wire.HeaderLen + 8 + tagTail]byte
	copy(m[:], pkt[:wire.HeaderLen])
	binary.BigEndian.PutUint64(m[wire.HeaderLen:], uint64(len(pkt)))
	copy(m[wire.HeaderLen+8:], pkt[len(pkt)-tagTail:])
	return sipHash(t.k0, t.k1, m[:])
}
