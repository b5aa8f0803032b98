package linkstate

import (
	"crypto/ed25519"
	"time"
)

// Encode gives the record's bytes. It sorts the lists, and fails when a bound is broken.
func (r Record) Encode() ([]byte, error) { return nil, nil }

// Decode reads what Encode gives and refuses everything else.
func Decode(b []byte) (Record, error) { return Record{}, nil }

// Signed is a record as it travels: its bytes, its origin's signature, and how long ago the origin
// made it, as far as those who passed it on can say.
type Signed struct {
	Record []byte
	Sig    []byte
	Age    time.Duration
}

// Sign encodes r and signs it with sign, which is the origin's Ed25519 key.
func Sign(r Record, sign func(message []byte) []byte) (Signed, error) { return Signed{}, nil }

// Verify checks the signature and decodes the record.
func (s Signed) Verify(pub ed25519.PublicKey) (Record, error) { return Record{}, nil }

// Append appends the signed record's bytes to b.
func (s Signed) Append(b []byte) []byte { return b }

// ParseSigned reads one signed record from the front of b and returns the rest. The result shares b.
func ParseSigned(b []byte) (s Signed, rest []byte, err error) { return Signed{}, nil, nil }
