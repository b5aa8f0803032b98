package raftlog

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// FirstIndex gives the first entry's index, 0 when the log is empty.
func (s *Store) FirstIndex() (uint64, error) {
	first, _ := s.bounds()
	return first, s.health()
}

// LastIndex gives the last entry's index, 0 when the log is empty.
func (s *Store) LastIndex() (uint64, error) {
	_, last := s.bounds()
	return last, s.health()
}

// IsMonotonic tells Raft that entries must follow each other without a gap.
func (s *Store) IsMonotonic() bool { return true }

// GetLog reads an entry. An index outside the log gives raft.ErrLogNotFound itself, which Raft compares
// by identity; a damaged entry ends the process, since Raft would panic on it.
func (s *Store) GetLog(index uint64, l *raft.Log) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	v, closer, err := s.db.Get(logKey(index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err == nil {
		defer closer.Close()
		err = decode(index, v, l)
	}
	if err != nil {
		err = fmt.Errorf("raft log: reading entry %d: %w", index, err)
		s.log.fail(err)
	}
	return err
}

// StoreLog appends one entry.
func (s *Store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries in one synced batch. They follow the last one; only an empty log begins
// anywhere (after a snapshot was installed).
func (s *Store) StoreLogs(logs []*raft.Log) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.health(); err != nil || len(logs) == 0 {
		return err
	}
	first, last := s.bounds()
	next := last + 1
	if last == 0 {
		next = logs[0].Index
	}
	for _, l := range logs {
		if l.Index != next || l.Index == 0 || l.Index == math.MaxUint64 {
			err := fmt.Errorf("raft log: entry %d where %d must follow %d", l.Index, next, last)
			s.log.fail(err)
			return err
		}
		next++
	}
	err := s.write(fmt.Sprintf("entries %d to %d", logs[0].Index, next-1), func(b *pebble.Batch) error {
		for _, l := range logs {
			if err := b.Set(logKey(l.Index), encode(l), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if first == 0 {
		first = logs[0].Index
	}
	s.setBounds(first, next-1)
	return nil
}

// DeleteRange removes the entries from lo to hi, both included: a head that a snapshot replaced, or a
// tail that another leader overruled. A range in the middle would leave a hole and ends the process.
// It is synced: a tail that came back after a crash would be entries nobody agreed on.
func (s *Store) DeleteRange(lo, hi uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	first, last := s.bounds()
	lo, hi = max(lo, first), min(hi, last)
	if last == 0 || lo > hi {
		return s.health()
	}
	if lo != first && hi != last {
		err := fmt.Errorf("raft log: removing %d to %d would leave a hole in %d to %d", lo, hi, first, last)
		s.log.fail(err)
		return err
	}
	err := s.write(fmt.Sprintf("the removal of %d to %d", lo, hi), func(b *pebble.Batch) error {
		return b.DeleteRange(logKey(lo), logKey(hi+1), nil)
	})
	if err != nil {
		return err
	}
	switch {
	case lo == first && hi == last:
		s.setBounds(0, 0)
	case lo == first:
		s.setBounds(hi+1, last)
	default:
		s.setBounds(first, lo-1)
	}
	return nil
}

func (s *Store) bounds() (first, last uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, s.last
}

func (s *Store) setBounds(first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.last = first, last
}

func (s *Store) health() error {
	if s.failed.Load() {
		return ErrFailed
	}
	return nil
}
