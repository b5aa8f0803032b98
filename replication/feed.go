package replication

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

const (
	// logRead is how many log entries are looked at in one go, and walkRead how many versions: a rule that
	// selects few of many must not make its stream fall silent, and one that selects all fills a batch.
	logRead  = batchEntries
	walkRead = 4096
	// quietEntries is how many log entries that a rule does not select may pass before the destination
	// is told, or a ping period.
	quietEntries = 4096
)

// nextTail reads the log from behind the cursor.
func (s *sending) nextTail(at *cursor) ([]store.Replica, error) {
	entries, next, err := s.e.cfg.Store.Log(at.Seq+1, logRead)
	if errors.Is(err, store.ErrTrimmed) {
		return nil, errors.New("the log does not reach back that far; the follower shall come again and walk")
	}
	if err != nil {
		return nil, err
	}
	var out []store.Replica
	var bytes int64
	for i := range entries {
		en := &entries[i]
		if !at.skips(en) && s.selects(&en.Version, en.Purged) {
			out = append(out, store.Replica{Version: en.Version, CatalogIndex: en.CatalogIndex, Purged: en.Purged})
			bytes += en.Version.Size
		}
		at.Seq = en.Seq
		if s.full(out, bytes) {
			break
		}
	}
	if n := len(entries); n == 0 || at.Seq == entries[n-1].Seq {
		at.Seq = next - 1 // behind the last there may be some that were purged since
	}
	if at.Seq >= at.Until {
		at.Until = 0
	}
	return out, nil
}

func (s *sending) selects(v *object.Version, purged bool) bool {
	return s.rule.selects(v, purged, s.e.cfg.Self, s.e.cfg.Region)
}

func (s *sending) full(rs []store.Replica, bytes int64) bool {
	return len(rs) >= small(batchEntries, s.batches) || bytes >= int64(small(batchBytes, s.batches))
}

// nextWalk visits what exists, from behind the cursor; at the end it turns to the tail.
func (s *sending) nextWalk(ctx context.Context, at *cursor) ([]store.Replica, error) {
	w := walk{rule: &s.rule, selects: s.selects, store: s.e.cfg.Store, buckets: s.e.buckets(), at: *at}
	err := w.step(ctx, walkRead, s.full)
	*at = w.at
	return w.out, err
}

// walk visits the versions in a store that a rule selects, in pieces.
type walk struct {
	rule    *rule
	selects func(v *object.Version, purged bool) bool
	store   *store.Store
	buckets map[string]object.Bucket
	at      cursor

	out   []store.Replica
	bytes int64
}

// step goes on until full, or limit versions were looked at, or the end, which turns the cursor to the tail.
func (w *walk) step(ctx context.Context, limit int, full func([]store.Replica, int64) bool) error {
	looked := 0
	for _, bucket := range w.rest() {
		after := ""
		from := cursor{}
		if bucket.Name == w.at.Bucket {
			from, after = w.at, justBefore(w.at.Key)
		}
		prefix := w.rule.policy.Prefix
		after = max(after, justBefore(prefix))
		key, some, stopped := "", false, false
		err := w.store.Walk(ctx, bucket.Name, after, func(r store.Replica, _ bool) error {
			v := &r.Version
			if !strings.HasPrefix(v.Key, prefix) {
				if v.Key > prefix {
					return store.StopWalk
				}
				return nil
			}
			if v.Key != key {
				key, some = v.Key, false
			}
			wanted := w.selects(v, false) && (!some || w.rule.everyVersion(bucket))
			if v.Key == from.Key && !v.ID.Less(from.Within) {
				some = some || wanted
				return nil // sent before; newest come first
			}
			if looked >= limit || full(w.out, w.bytes) {
				stopped = true
				return store.StopWalk
			}
			looked++
			some = some || wanted
			if wanted {
				w.out = append(w.out, r)
				w.bytes += v.Size
			}
			w.at.Bucket, w.at.Key, w.at.Within = bucket.Name, v.Key, v.ID
			return nil
		})
		if err != nil || stopped {
			return err
		}
	}
	w.at.Tail, w.at.Bucket, w.at.Key, w.at.Within = true, "", "", object.VersionID{}
	return nil
}

// rest lists the buckets that the rule may still find something in, by name.
func (w *walk) rest() []object.Bucket {
	if w.rule.policy.Bucket != "" {
		b, ok := w.buckets[w.rule.policy.Bucket]
		if !ok {
			return nil
		}
		return []object.Bucket{b}
	}
	var out []object.Bucket
	for _, name := range slices.Sorted(maps.Keys(w.buckets)) {
		if name >= w.at.Bucket {
			out = append(out, w.buckets[name])
		}
	}
	return out
}

// justBefore gives what no key lies between and key itself: keys are UTF-8, which has no byte 0xff.
func justBefore(key string) string {
	if key == "" {
		return ""
	}
	b := []byte(key)
	b[len(b)-1]--
	return string(append(b, 0xff))
}

// sendAgain sends versions once more that the destination set aside.
func (s *sending) sendAgain(list []ref) error {
	b := batch{cursor: s.told}
	var bytes int64
	n := 0
	for ; n < len(list) && (n == 0 || !s.full(b.replicas, bytes)); n++ {
		r := list[n]
		v, err := s.e.cfg.Store.Manifest(r.Bucket, r.Key, r.ID)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && !s.selects(&v, false):
			b.gone = append(b.gone, r)
		case errors.Is(err, store.ErrCorrupt):
			// Not this time either.
		case err != nil:
			return err
		default:
			b.replicas = append(b.replicas, store.Replica{Version: v})
			bytes += v.Size
		}
	}
	s.mu.Lock()
	s.again = s.again[min(n, len(s.again)):]
	s.mu.Unlock()
	return s.sendBatch(&b, slices.Clone(list[:n]))
}
