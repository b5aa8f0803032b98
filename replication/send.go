package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/replication/store"
)

// send runs ahead with batches as far as the window goes, and gives chunks that were asked for.
func (s *sending) send(ctx context.Context, generation <-chan struct{}) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	flush := false
	for ctx.Err() == nil {
		grown := s.e.cfg.Store.LogNotify()
		moved, err := s.advance(ctx, flush)
		if err != nil {
			return err
		}
		flush = false
		gave, err := s.give()
		if err != nil {
			return err
		}
		if moved || gave {
			continue
		}
		select {
		case <-grown:
		case <-s.wake:
		case <-generation:
			r, fresh, why := s.e.admit(s.to, protocol, s.rule.name, s.rule.hash)
			if why != "" {
				return fmt.Errorf("%s is no longer followed: %s", s.rule.name, why)
			}
			s.rule, generation = r, fresh
		case <-ping.C:
			if err := s.fr.writeJSON(framePing, struct{}{}); err != nil {
				return err
			}
			flush = true
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// small halves a limit while few frames were sent.
func small(limit, sent int) int { return limit >> max(smallest-sent, 0) }

// advance sends the next batch if the window has room. It says whether there may be more to do.
func (s *sending) advance(ctx context.Context, flush bool) (bool, error) {
	s.mu.Lock()
	room := len(s.window) == 0 || s.entries < windowEntries && s.bytes < windowBytes && len(s.window) < windowEntries
	again := s.again
	s.mu.Unlock()
	if !room {
		return false, nil
	}
	if len(again) > 0 {
		return true, s.sendAgain(again)
	}
	next := s.at
	var replicas []store.Replica
	var err error
	if s.at.Tail {
		replicas, err = s.nextTail(&next)
	} else {
		replicas, err = s.nextWalk(ctx, &next)
	}
	if err != nil {
		return false, err
	}
	moved := next != s.at
	// A log full of what the rule does not select need not cost the destination a sync for every entry.
	quiet := s.at.Tail && len(replicas) == 0 && next.Seq-s.told.Seq < quietEntries && next.Until == s.told.Until && !flush
	s.at = next
	if quiet || next == s.told {
		return moved, nil
	}
	return true, s.sendBatch(&batch{replicas: replicas, cursor: next}, nil)
}

func (s *sending) sendBatch(b *batch, again []ref) error {
	sent := sentBatch{cursor: b.cursor, entries: len(b.replicas), settled: again}
	for i := range b.replicas {
		sent.bytes += b.replicas[i].Version.Size
		if b.replicas[i].Purged {
			sent.settled = append(sent.settled, refOf(&b.replicas[i].Version))
		}
	}
	s.mu.Lock()
	s.window = append(s.window, sent)
	s.entries += sent.entries
	s.bytes += sent.bytes
	s.mu.Unlock()
	body, err := encodeBatch(b)
	if err != nil {
		return err
	}
	s.told = b.cursor
	s.batches++
	return s.fr.write(frameBatch, body)
}

// give sends one frame of the chunks that were asked for. It says whether there were any.
func (s *sending) give() (bool, error) {
	s.mu.Lock()
	wants := s.wants
	s.mu.Unlock()
	if len(wants) == 0 {
		return false, nil
	}
	var body, buf []byte
	n, limit := 0, small(chunkFrame, s.chunks)
	for n < len(wants) && len(body) < limit {
		data, err := s.e.cfg.Store.GetChunk(wants[n], buf[:0])
		if n > 0 && len(body)+len(data) > limit {
			break
		}
		switch {
		case err == nil:
			body = binary.BigEndian.AppendUint32(body, uint32(len(data)))
			body = append(body, data...)
			buf = data
		case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt):
			s.e.emit(ChunkUnavailable{To: s.to, Chunk: wants[n], Err: err})
			body = binary.BigEndian.AppendUint32(body, unavailable)
		default:
			// The store's trouble, and not this chunk's: nobody shall give up an object for that.
			return false, fmt.Errorf("read chunk %s for %s: %w", wants[n], s.to, err)
		}
		n++
	}
	s.mu.Lock()
	if s.wants = s.wants[n:]; len(s.wants) == 0 {
		s.wants = nil
	}
	s.mu.Unlock()
	s.chunks++
	return true, s.fr.write(frameChunks, body)
}
