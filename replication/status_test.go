package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// outbound gives the source's view of one policy.
func (s *site) outbound(policy string) FlowStatus {
	for _, f := range s.engine.Status().Flows {
		if f.Policy == policy && !f.Inbound {
			return f
		}
	}
	return FlowStatus{}
}

func TestStatusIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		// Nobody has begun: everything is pending.
		v, _ := a.put("kept", "k", random(1, 1000))
		a.put("kept", "k", random(2, 500))
		a.put("plain", "p", random(3, 700))
		a.put("plain", "p", random(4, 300)) // the newest alone counts here
		first := v.ID.Time.Wall()
		check := func(policy string, objects, bytes int64, phase string) {
			t.Helper()
			f := a.outbound(policy)
			if f.PendingObjects != objects || f.PendingBytes != bytes || f.Phase != phase || f.More {
				t.Errorf("%s: %+v, want %d objects of %d bytes, %s", policy, f, objects, bytes, phase)
			}
		}
		w.partition(1, 2, true)
		w.set()
		check("p-kept", 2, 1500, PhaseWaiting)
		check("p-plain", 1, 300, PhaseWaiting)
		if f := a.outbound("p-kept"); !f.OldestPending.Equal(first) {
			t.Errorf("oldest pending %s, want %s", f.OldestPending, first)
		}
		if st := a.engine.ObjectStatus(v); st.Status != StatusPending || st.Destinations[0].Region != "b" {
			t.Errorf("object status: %+v", st)
		}
		w.partition(1, 2, false)
		w.settle()
		check("p-kept", 0, 0, PhaseLive)
		if st := a.engine.ObjectStatus(v); st.Status != StatusCompleted {
			t.Errorf("object status: %+v", st)
		}
		rv, err := b.store.Get("kept", "k", v.ID)
		if st := b.engine.ObjectStatus(rv); err != nil || st.Status != StatusReplica {
			t.Errorf("object status at the destination: %+v, %v", st, err)
		}
		in := b.engine.Status().Flows[0]
		if !in.Inbound || in.Policy != "p-kept" || in.DoneObjects != 2 || in.DoneBytes != 1500 || in.WireBytes < 1500 || in.Phase != PhaseLive {
			t.Errorf("at the destination: %+v", in)
		}
		w.partition(1, 2, true)
		time.Sleep(time.Second)
		late, _ := a.put("kept", "late", random(5, 4000))
		a.del("kept", "k")
		for i := range 20 { // of no concern to p-kept
			a.put("plain", fmt.Sprintf("x%d", i), random(i, 10))
		}
		check("p-kept", 2, 4000, PhaseWaiting)
		check("p-plain", 20, 200, PhaseWaiting)
		a.restart()
		w.set()
		check("p-kept", 2, 4000, PhaseWaiting)
		check("p-plain", 20, 200, PhaseWaiting)
		for _, c := range []struct {
			v    object.Version
			want string
		}{{v, StatusCompleted}, {late, StatusPending}} {
			if st := a.engine.ObjectStatus(c.v); st.Status != c.want {
				t.Errorf("%s: %+v, want %s", c.v.Key, st, c.want)
			}
		}
		if st := a.engine.ObjectStatus(object.Version{Bucket: "other", Region: "a"}); st.Status != "" {
			t.Errorf("a version that no policy sends on is %q", st.Status)
		}
	})
}

// TestQuietLog: what a rule does not select costs the destination no sync for each entry, and the log can
// be trimmed all the same.
func TestQuietLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.set()
		w.settle()
		for i := range 500 {
			a.put("plain", fmt.Sprint(i%10), []byte("x"))
			time.Sleep(time.Millisecond)
		}
		w.topo.Policies = w.topo.Policies[1:] // p-kept alone
		w.set()
		time.Sleep(2 * pingPeriod)
		sent := w.sent()
		for i := range 500 {
			a.put("plain", fmt.Sprint(i%10), []byte("x"))
			time.Sleep(time.Millisecond)
		}
		if n := w.sent() - sent; n > 2000 {
			t.Errorf("500 writes that do not concern the destination cost %d bytes", n)
		}
		time.Sleep(2 * pingPeriod)
		a.trim()
		if first, next := a.store.LogRange(); first != next {
			t.Errorf("log is %d to %d", first, next)
		}
		w.has(b, "plain", "3", []byte("x"))
	})
}

// TestManySmallObjects states what a backfill of 10,000 small objects over 250 ms costs in round trips.
func TestManySmallObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.change(func() { w.latency = 125 * time.Millisecond })
		const n = 10_000
		var batch []store.Replica
		for i := range n {
			batch = append(batch, a.replica(fmt.Sprintf("src/%05d.go", i), random(i, 1500+i%2000)))
			if len(batch) == 500 {
				if _, err := a.store.ApplyReplica(t.Context(), batch, store.Cursor{}); err != nil {
					t.Fatal(err)
				}
				batch = nil
			}
		}
		began := time.Now()
		w.set()
		w.until(time.Minute, "all are there", func() bool { return b.store.Stats().Objects == n })
		took := time.Since(began)
		t.Logf("%d objects, %d bytes on the wire: %s, %.1f round trips", n, w.sent(), took, took.Seconds()/0.25)
		// Dial and hello, then a window of 8,192 versions whose chunks are asked for in a window that doubles
		// from 4 MiB each round trip, then the rest.
		if took > 2*time.Second {
			t.Errorf("%d small objects took %s over a round trip of 250 ms, want at most 2 s", n, took)
		}
	})
}

// replica makes a version of this region and stores its chunk, without the cost of a synced write.
func (s *site) replica(key string, data []byte) store.Replica {
	s.w.t.Helper()
	w := s.store.NewWriter(s.w.t.Context())
	defer w.Close()
	_, _ = w.Write(data)
	b, err := w.Finish()
	if err != nil {
		s.w.t.Fatal(err)
	}
	t := object.MakeHLC(time.Now(), 0)
	return store.Replica{Version: object.Version{
		Bucket: "plain", Key: key, Size: b.Size, Sum: b.Sum, Chunks: b.Chunks, Region: s.region, ID: object.VersionID{Time: t, Origin: s.id},
	}}
}

// TestEvents: what happens is told, and the same failure in a row once.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.topo.Policies = w.topo.Policies[:1]
		w.set()
		w.settle()
		w.partition(1, 2, true)
		time.Sleep(10 * time.Minute)
		w.partition(1, 2, false)
		w.settle()
		if up, broken := b.count("flow-up"), b.count("flow-broken"); up != 2 || broken < 1 || broken > 3 {
			t.Errorf("%d flow-up and %d flow-broken, want 2 and 1 to 3", up, broken)
		}
		if n := a.count("follower-ended"); n != 1 {
			t.Errorf("%d follower-ended, want 1", n)
		}
		var names []string
		for _, e := range append(slices.Clone(a.events), b.events...) {
			names = append(names, e.Name()+" "+e.LogValue().String())
		}
		if !strings.Contains(strings.Join(names, "\n"), "rule=p-plain source=r1 tail=false") {
			t.Errorf("events:\n%s", strings.Join(names, "\n"))
		}
	})
}
