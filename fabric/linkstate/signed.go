package linkstate

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// label keeps a signature over a record from being one over anything else that the key signs.
const label = "galleon link-state record v1\x00"

const signedHead = 4 + ed25519.SignatureSize + 4

// maxAge is the greatest age that the format can say: 49 days.
const maxAge = math.MaxUint32 * time.Millisecond

// ErrSignature is wrapped when a record was not signed by its origin.
var ErrSignature = errors.New("wrong signature")

// Signed is a record as it travels: its bytes, its origin's signature, and how long ago the origin
// made it, as far as those who passed it on can say.
type Signed struct {
	Record []byte
	Sig    []byte
	Age    time.Duration
}

// Sign encodes r and signs it with sign, which applies the origin's Ed25519 key to a message.
func Sign(r Record, sign func(message []byte) []byte) (Signed, error) {
	b, err := r.Encode()
	if err != nil {
		return Signed{}, err
	}
	return Signed{Record: b, Sig: sign(message(b))}, nil
}

func message(record []byte) []byte { return append([]byte(label), record...) }

// Verify checks the signature and decodes the record.
func (s Signed) Verify(pub ed25519.PublicKey) (Record, error) {
	r, err := Decode(s.Record)
	if err != nil {
		return Record{}, err
	}
	return r, s.verify(r.Origin.String(), pub)
}

func (s Signed) verify(origin string, pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize || !ed25519.Verify(pub, message(s.Record), s.Sig) {
		return fmt.Errorf("link-state of %s: %w", origin, ErrSignature)
	}
	return nil
}

// Append appends the signed record's bytes to b.
func (s Signed) Append(b []byte) []byte {
	if len(s.Sig) != ed25519.SignatureSize || len(s.Record) > MaxRecord {
		panic(fmt.Sprintf("linkstate: signature of %d and record of %d bytes", len(s.Sig), len(s.Record)))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(s.Age, 0), maxAge)/time.Millisecond))
	b = append(b, s.Sig...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Record)))
	return append(b, s.Record...)
}

// ParseSigned reads one signed record from the front of b and returns the rest. The result shares b.
// Nothing of it is verified but its sizes.
func ParseSigned(b []byte) (s Signed, rest []byte, err error) {
	if len(b) < signedHead {
		return Signed{}, nil, fmt.Errorf("%w: signed record cut short", ErrFormat)
	}
	size := binary.BigEndian.Uint32(b[signedHead-4:])
	if size > MaxRecord || int(size) > len(b)-signedHead {
		return Signed{}, nil, fmt.Errorf("%w: record of %d bytes in %d", ErrFormat, size, len(b)-signedHead)
	}
	end := signedHead + int(size)
	return Signed{
		Age:    time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond,
		Sig:    b[4 : signedHead-4 : signedHead-4],
		Record: b[signedHead:end:end],
	}, b[end:], nil
}
