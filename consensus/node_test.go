package consensus

import (
	"context"
	"testing"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

func TestProposeAnywhere(t *testing.T) {
	inWorld(t, 5, 3, nil, func(w *world) {
		w.waitLeader()
		for i, id := range w.ids() {
			r := w.propose(id, createBucket("bucket-"+string(rune('a'+i))))
			if r.Err != nil {
				t.Fatalf("%s: %v", id, r.Err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			s, err := w.node(id).Read(ctx, AtLeast(r.Index))
			cancel()
			if err != nil || len(s.Buckets) != i+1 {
				t.Fatalf("%s does not read its own write: %v", id, err)
			}
		}
		// A linearizable read anywhere has everything.
		for _, id := range w.ids() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			s, err := w.node(id).Read(ctx, Linearizable)
			cancel()
			if err != nil || len(s.Buckets) != 5 {
				t.Fatalf("%s: %v", id, err)
			}
		}
		w.agree()
		for _, id := range w.ids() {
			role := w.node(id).Status().Role
			if want := map[bool]Role{true: RoleVoter, false: RoleWatcher}[id <= 3]; role != want {
				t.Errorf("%s is a %s, want %s", id, role, want)
			}
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		w.waitLeader()
		c := createBucket("once")
		c.Key = "the-same"
		first := w.propose(4, c)
		again := w.propose(2, c)
		if first.Err != nil || again.Err != nil || again.Index != first.Index {
			t.Errorf("first %+v, again %+v: want the first outcome twice", first, again)
		}
		if other := w.propose(1, createBucket("once")); other.Err == nil || other.Err.Code != state.CodeConflict {
			t.Errorf("another command for the same bucket: %+v", other)
		}
	})
}

func TestLeaderCrashes(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		l := w.waitLeader()
		w.propose(4, createBucket("before"))
		w.crash(l, 50)
		if r := w.propose(4, createBucket("after")); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.start(l)
		w.agree()
		if n := len(w.node(l).View().Buckets); n != 2 {
			t.Errorf("%d buckets, want 2", n)
		}
	})
}

// Every voter in turn, and then all at once: nothing acknowledged is lost.
func TestEveryoneCrashes(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		w.waitLeader()
		n := 0
		bucket := func() {
			if r := w.propose(4, createBucket("bucket-"+string(rune('a'+n)))); r.Err != nil {
				t.Errorf("bucket %d: %v", n, r.Err)
			}
			n++
		}
		for id := topo.RouterID(1); id <= 3; id++ {
			bucket()
			w.crash(id, 0)
			bucket()
			w.start(id)
		}
		w.agree()
		for id := topo.RouterID(1); id <= 4; id++ {
			w.crash(id, 30)
		}
		for id := topo.RouterID(1); id <= 4; id++ {
			w.start(id)
		}
		w.waitLeader()
		bucket()
		w.agree()
		if got := len(w.node(4).View().Buckets); got != n {
			t.Errorf("%d buckets, want %d", got, n)
		}
	})
}

func TestMinorityStops(t *testing.T) {
	inWorld(t, 5, 5, nil, func(w *world) {
		l := w.waitLeader()
		var rest []topo.RouterID
		for _, id := range w.ids() {
			if id != l {
				rest = append(rest, id)
			}
		}
		small, large := []topo.RouterID{l, rest[0]}, rest[1:]
		w.wire.split(small, large, true)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if r, err := w.node(l).Propose(ctx, createBucket("lost")); err == nil {
			t.Errorf("the minority agreed on %+v", r)
		}
		if _, err := w.node(rest[0]).Read(ctx, Linearizable); err == nil {
			t.Error("the minority answered a linearizable read")
		}
		if _, err := w.node(rest[0]).Read(ctx, Stale(10*time.Second)); err == nil {
			t.Error("the minority said that it is fresh")
		}
		if _, err := w.node(rest[0]).Read(ctx, Stale(time.Hour)); err != nil {
			t.Errorf("the minority does not even show what it has: %v", err)
		}
		w.propose(large[0], createBucket("kept"))
		w.wire.split(small, large, false)
		w.agree()
		s := w.node(l).View()
		if _, ok := s.Buckets["kept"]; !ok {
			t.Error("what the majority agreed on is missing")
		}
	})
}

func TestTransferLeadership(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		l := w.waitLeader()
		to := l%3 + 1
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := w.node(4).TransferLeadership(ctx, to); err != nil {
			t.Fatal(err)
		}
		w.eventually(10*time.Second, "the other leads", func() bool { return w.leader() == to })
		if err := w.node(4).TransferLeadership(ctx, 4); err == nil {
			t.Error("leadership went to a watcher")
		}
		w.propose(l, createBucket("bucket"))
		w.agree()
	})
}

func TestWatcherCatchesUp(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		w.waitLeader()
		w.propose(4, createBucket("first"))
		w.agree()
		w.halt(4)
		for _, b := range []string{"second", "third"} {
			w.propose(1, createBucket(b))
		}
		// With no voter in reach it starts from what it kept.
		w.wire.split([]topo.RouterID{4}, []topo.RouterID{1, 2, 3}, true)
		n := w.start(4)
		if got := len(n.View().Buckets); got != 1 {
			t.Errorf("a watcher that is alone has %d buckets, want the last good state's 1", got)
		}
		w.wire.split([]topo.RouterID{4}, []topo.RouterID{1, 2, 3}, false)
		w.agree()
		// The voter that it follows dies: it goes on with another.
		for _, v := range []topo.RouterID{1, 2} {
			if len(w.node(v).watching(0)) > 0 {
				w.crash(v, 0)
				break
			}
		}
		w.propose(3, createBucket("fourth"))
		w.eventually(30*time.Second, "the watcher has it", func() bool { return len(w.node(4).View().Buckets) == 4 })
	})
}
