package state

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// stateFormat is the first byte of an encoded state.
const stateFormat = 1

// New gives the state before the first command.
func New() *State { return &State{} }

// Encode gives the bytes of the state: the same for equal states on every router.
func (s *State) Encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode state at index %d: %w", s.Index, err)
	}
	if len(b)+1 > MaxSize {
		return nil, fmt.Errorf("encode state at index %d: %d bytes, more than the %d that the state may have", s.Index, len(b), MaxSize)
	}
	return append([]byte{stateFormat}, b...), nil
}

// Decode reads what Encode gave.
func Decode(b []byte) (*State, error) {
	if len(b) < 1 || len(b) > MaxSize {
		return nil, fmt.Errorf("decode state: %d bytes, want 1 to %d", len(b), MaxSize)
	}
	if b[0] != stateFormat {
		return nil, fmt.Errorf("decode state: format %d, this version knows %d", b[0], stateFormat)
	}
	s := &State{}
	if err := json.Unmarshal(b[1:], s); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	return s, nil
}

// Hash is the SHA-256 of the encoded state: equal on all routers at equal index.
func (s *State) Hash() ([32]byte, error) {
	b, err := s.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(b), nil
}
