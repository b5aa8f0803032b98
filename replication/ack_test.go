package replication

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

func TestWaitAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, _, c := w.add(1, "a"), w.add(2, "b"), w.add(3, "c")
		w.add(4, "a")
		w.policy(object.Policy{Name: "p", Bucket: "kept", From: everywhere, To: everywhere})
		w.policy(object.Policy{Name: "q", Bucket: "kept", Prefix: "k", From: regions("a"), To: regions("b")}) // overlaps; a region counts once
		w.change(func() { w.latency = 100 * time.Millisecond })
		w.set()
		w.settle()
		n := 0
		wait := func(ack string, ctx context.Context) (time.Duration, error) {
			t.Helper()
			class, err := object.ParseAck(ack)
			if err != nil {
				t.Fatal(err)
			}
			n++
			v, seq := a.put("kept", fmt.Sprintf("k%d", n), random(n, 10_000))
			began := time.Now()
			err = a.engine.WaitAck(ctx, v, seq, class)
			return time.Since(began), err
		}
		ctx := t.Context()
		if took, err := wait("local", ctx); err != nil || took != 0 {
			t.Errorf("local: %s, %v", took, err)
		}
		// One way for the version, a round trip for its chunks, one way for the acknowledgement.
		for _, ack := range []string{"zone", "regions:1", "regions:2"} {
			if took, err := wait(ack, ctx); err != nil || took < 400*time.Millisecond || took > 700*time.Millisecond {
				t.Errorf("%s: %s, %v", ack, took, err)
			}
		}
		if took, err := wait("regions:3", ctx); !errors.Is(err, ErrAckPending) || took != 0 {
			t.Errorf("regions:3 of 2: %s, %v", took, err)
		}
		// A delete waits like a write.
		v, seq, err := a.store.Delete(ctx, "kept", "k1", noOptions)
		if err == nil {
			err = a.engine.WaitAck(ctx, v, seq, object.Ack{Regions: 2})
		}
		if err != nil {
			t.Error(err)
		}
		if v, seq, err = a.store.Purge(ctx, "kept", "k1", v.ID, noOptions); err == nil {
			err = a.engine.WaitAck(ctx, v, seq, object.Ack{Regions: 2})
		}
		if err != nil {
			t.Error(err)
		}
		w.partition(1, 3, true)
		if took, err := wait("regions:1", ctx); err != nil || took > time.Second {
			t.Errorf("regions:1 with one of two away: %s, %v", took, err)
		}
		if took, err := wait("regions:2", ctx); !errors.Is(err, ErrAckPending) || took != ackTimeout {
			t.Errorf("regions:2 with one of two away: %s, %v", took, err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if took, err := wait("regions:2", short); !errors.Is(err, ErrAckPending) || took != time.Second {
			t.Errorf("regions:2 with a client that waits a second: %s, %v", took, err)
		}
		// Waiting outlasts a partition that is short, and a restart of the destination.
		go func() {
			time.Sleep(10 * time.Second)
			w.partition(1, 3, false)
		}()
		if took, err := wait("regions:2", ctx); err != nil || took < 10*time.Second {
			t.Errorf("regions:2 through a partition: %s, %v", took, err)
		}
		v, seq = a.put("kept", "last", []byte("x"))
		w.settle()
		c.restart()
		if err := a.engine.WaitAck(ctx, v, seq, object.Ack{Regions: 2}); err != nil {
			t.Error(err)
		}
		// A region without a second router, and one that gets it while somebody waits.
		v, seq = c.put("kept", "kc", []byte("x"))
		if err := c.engine.WaitAck(ctx, v, seq, object.Ack{Zone: true}); !errors.Is(err, ErrAckPending) {
			t.Errorf("zone in a region of one: %v", err)
		}
	})
}

// TestOldStreamCannotTakeBack: a stream whose end the source has not noticed yet is replaced by the follower's
// next one, and when it ends it does not say what was so before.
func TestOldStreamCannotTakeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.set()
		w.settle()
		old := a.engine.newest()
		b.restart()
		w.until(time.Minute, "a new stream", func() bool { return a.engine.newest() != old && a.engine.newest() != nil })
		v, seq := a.put("kept", "k", []byte("x"))
		w.settle()
		time.Sleep(time.Minute)
		if err := a.engine.WaitAck(t.Context(), v, seq, object.Ack{Regions: 1}); err != nil {
			t.Error(err)
		}
		// Whatever an older stream still hears counts for nothing.
		a.engine.acknowledged(old, ackBody{}, nil)
		a.engine.dropSending(old)
		if err := a.engine.WaitAck(t.Context(), v, seq, object.Ack{Regions: 1}); err != nil {
			t.Error(err)
		}
	})
}

// newest gives the stream of policy p-kept's follower.
func (e *Engine) newest() *sending {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, s := range e.sendings {
		if k.rule == "p-kept" {
			return s
		}
	}
	return nil
}
