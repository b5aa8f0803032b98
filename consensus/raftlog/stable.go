package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

func stableKey(key []byte) []byte { return append([]byte{keyStable}, key...) }

// Set stores a value, synced: a vote that a crash forgets is a vote given twice.
func (s *Store) Set(key, val []byte) error {
	return s.write(string(key), func(b *pebble.Batch) error { return b.Set(stableKey(key), val, nil) })
}

// Get reads a value, nil when there is none. (Raft takes a vote for given when this is not nil.)
func (s *Store) Get(key []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	v, closer, err := s.db.Get(stableKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("raft log: reading %s: %w", key, err)
		s.log.fail(err)
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// SetUint64 stores a number, synced.
func (s *Store) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// GetUint64 reads a number, 0 when there is none.
func (s *Store) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		err = fmt.Errorf("raft log: %s holds %d bytes, want 8", key, len(v))
		s.log.fail(err)
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}
