package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// HelloLen is the length in octets of a hello and of its answer.
const HelloLen = 32

// maxSuites is how many AEAD suites a hello can name.
const maxSuites = 4

// FeatureReports is the feature bit of a router whose probes may carry a Report, and who understands one.
const FeatureReports uint64 = 1 << 0

// FeaturePartial is the feature bit of a router that delivers packets whose header says Partial.
const FeaturePartial uint64 = 1 << 1

const (
	kindHello  = 1
	kindAnswer = 2
)

// Hello is what the dialler of a pair session says first, and what it gets back. Who the two are is
// known from the certificates of the session and not said again.
type Hello struct {
	Answer   bool     // false from the dialler, true from the one who accepted
	Epoch    uint16   // proposed by the dialler, decided by the answer
	Lanes    uint8    // 1 to MaxLanes
	MTU      uint16   // largest IP packet in octets, at least MinMTU
	Features uint64   // bits that the sender understands; in the answer those that both do
	Suites   [4]uint8 // seal.Suite numbers, the preferred first, zeros after the last
}

// AppendHello encodes h at the end of b.
func AppendHello(b []byte, h Hello) []byte {
	kind := byte(kindHello)
	if h.Answer {
		kind = kindAnswer
	}
	b = append(b, kind, h.Lanes)
	b = binary.BigEndian.AppendUint16(b, h.Epoch)
	b = binary.BigEndian.AppendUint16(b, h.MTU)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint64(b, h.Features)
	b = append(b, h.Suites[:]...)
	return appendZeros(b, HelloLen-20)
}

// ParseHello decodes exactly HelloLen octets and checks every range.
func ParseHello(b []byte) (Hello, error) {
	if len(b) != HelloLen {
		return Hello{}, ErrShort
	}
	h := Hello{
		Answer:   b[0] == kindAnswer,
		Lanes:    b[1],
		Epoch:    binary.BigEndian.Uint16(b[2:]),
		MTU:      binary.BigEndian.Uint16(b[4:]),
		Features: binary.BigEndian.Uint64(b[8:]),
		Suites:   [4]uint8(b[16:20]),
	}
	if b[0] != kindHello && b[0] != kindAnswer {
		return Hello{}, fmt.Errorf("hello of kind %d: %w", b[0], ErrField)
	}
	return h, h.check()
}

func (h Hello) check() error {
	switch n := h.suites(); {
	case h.Lanes == 0 || h.Lanes > MaxLanes:
		return fmt.Errorf("hello with %d lanes, want 1 to %d: %w", h.Lanes, MaxLanes, ErrField)
	case h.MTU < MinMTU:
		return fmt.Errorf("hello with an MTU of %d, want at least %d: %w", h.MTU, MinMTU, ErrField)
	case n == 0:
		return fmt.Errorf("hello without an AEAD suite: %w", ErrField)
	case h.Answer && n != 1:
		return fmt.Errorf("hello answer with %d AEAD suites, want one: %w", n, ErrField)
	}
	for i, s := range h.Suites { // zeros only at the end, nothing twice
		for _, t := range h.Suites[:i] {
			if s == t && s != 0 || t == 0 && s != 0 {
				return fmt.Errorf("hello with AEAD suites %v: %w", h.Suites, ErrField)
			}
		}
	}
	return nil
}

func (h Hello) suites() int {
	n := 0
	for n < maxSuites && h.Suites[n] != 0 {
		n++
	}
	return n
}

// Agree is the answer of a router that would itself say mine to an offer: fewest lanes, smallest
// MTU, common features, the offered epoch unless mine names another (non-zero), and a suite.
//
// The suite is the one that both prefer. Where they differ it is the highest number in common: suite
// 2, ChaCha20, is the one that every CPU does well, and suite 1, AES, only a CPU that has it.
func Agree(offer, mine Hello) (Hello, error) {
	h := Hello{
		Answer:   true,
		Epoch:    offer.Epoch,
		Lanes:    min(offer.Lanes, mine.Lanes),
		MTU:      min(offer.MTU, mine.MTU),
		Features: offer.Features & mine.Features,
	}
	if mine.Epoch != 0 {
		h.Epoch = mine.Epoch
	}
	switch {
	case offer.Suites[0] == mine.Suites[0]:
		h.Suites[0] = mine.Suites[0]
	default:
		for _, s := range mine.Suites {
			if s > h.Suites[0] && slices.Contains(offer.Suites[:], s) {
				h.Suites[0] = s
			}
		}
	}
	if h.Suites[0] == 0 {
		return Hello{}, fmt.Errorf("no AEAD suite in common: offered %v, have %v", offer.Suites, mine.Suites)
	}
	return h, h.check()
}
