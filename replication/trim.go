package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/replication/store"
)

const (
	// maxLog is how many entries the log keeps for destinations that are away. Who falls behind that walks.
	maxLog = 4_000_000
	// keepLog is how long the log is kept although everybody has it: a destination that walks within that time,
	// because it is new, or follows a new owner, learns from it what was purged.
	keepLog = 24 * time.Hour
	// markPeriod is the least time between two notes of where the log ended.
	markPeriod = 30 * time.Minute
	marksName  = "logmarks"
)

// logMark is where the log ended at a time.
type logMark struct {
	Time time.Time `json:"time"`
	Next store.Seq `json:"next"`
}

// TrimLog drops log entries that every follower has passed and that are older than keepLog. One that walks
// holds the log from where its walk began, and one that is away what it has not seen, up to maxLog entries;
// one that never began holds nothing. It is to be called every hour or so.
func (e *Engine) TrimLog(ctx context.Context) error {
	first, next := e.cfg.Store.LogRange()
	before, err := e.oldEnough(ctx, next)
	if err != nil {
		return fmt.Errorf("trim the log: %w", err)
	}
	e.mu.Lock()
	for _, r := range e.out {
		for _, to := range r.to {
			if c := e.known(ackKey{r.name, r.hash, to}).cursor; e.ours(c) {
				before = min(before, c.Seq+1)
			}
		}
	}
	e.mu.Unlock()
	if next > maxLog {
		before = max(before, next-maxLog)
	}
	if before <= first {
		return nil
	}
	return e.cfg.Store.TrimLog(ctx, before)
}

// oldEnough notes where the log ends now, and gives where it ended keepLog ago.
func (e *Engine) oldEnough(ctx context.Context, next store.Seq) (store.Seq, error) {
	var marks []logMark
	now := time.Now().UTC()
	// None, or none that can be read: the day begins anew.
	if b, err := e.cfg.Store.Cursor(marksName); err != nil || json.Unmarshal(b, &marks) != nil {
		marks = nil
	}
	if n := len(marks); n > 0 && now.Sub(marks[n-1].Time).Abs() < markPeriod {
		return oldest(marks, now), nil
	}
	marks = append(marks, logMark{now, next})
	before := oldest(marks, now)
	// Of those that are old enough only the newest says anything.
	for len(marks) > 1 && marks[1].Next <= before && now.Sub(marks[1].Time) >= keepLog {
		marks = marks[1:]
	}
	return before, e.cfg.Store.SetCursor(ctx, store.Cursor{Name: marksName, Value: encode(marks)})
}

func oldest(marks []logMark, now time.Time) (before store.Seq) {
	for _, m := range marks {
		if now.Sub(m.Time) >= keepLog {
			before = max(before, m.Next)
		}
	}
	return before
}
