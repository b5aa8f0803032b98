package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// spoil changes a chunk behind a store's back and gives what it was; nil removes it.
func (s *site) spoil(id object.ChunkID, value []byte) (was []byte) {
	s.w.t.Helper()
	s.halt()
	db, err := pebble.Open("store", &pebble.Options{FS: s.fs, FormatMajorVersion: pebble.FormatValueSeparation})
	if err != nil {
		s.w.t.Fatal(err)
	}
	key := append([]byte{'c'}, id[:]...)
	old, closer, err := db.Get(key)
	if err == nil {
		was = append(was, old...)
		err = closer.Close()
	}
	if err == nil || errors.Is(err, pebble.ErrNotFound) {
		if value == nil {
			err = db.Delete(key, pebble.Sync)
		} else {
			err = db.Set(key, value, pebble.Sync)
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		s.w.t.Fatal(err)
	}
	s.start()
	s.w.set()
	return was
}

// TestPoisonedChunk: what the source cannot read is set aside, listed, told as failed, not counted as
// acknowledged, and blocks nothing; when the source can read it again it arrives by itself.
func TestPoisonedChunk(t *testing.T) {
	for _, damage := range []string{"altered", "missing"} {
		t.Run(damage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.close()
				b.halt()
				for i := range 10 {
					a.put("kept", fmt.Sprintf("k%d", i), random(i, 50_000))
				}
				long := strings.Repeat("é", object.MaxKey/2)
				bad, _ := a.put("kept", long, random(3, 50_000)) // the same bytes as k3
				m, err := a.store.Manifest("kept", "k3", object.VersionID{})
				if err != nil {
					t.Fatal(err)
				}
				var value []byte
				if damage == "altered" {
					value = []byte{1, 2, 3}
				}
				was := a.spoil(m.Chunks[0].ID, value)
				b.start()
				w.set()
				w.settle()
				v, seq := a.put("kept", "later", []byte("x"))
				if err := a.engine.WaitAck(t.Context(), v, seq, object.Ack{Regions: 1}); err != nil {
					t.Errorf("what has nothing to do with it: %v", err)
				}
				w.has(b, "kept", "k3", nil)
				w.has(b, "kept", "k9", random(9, 50_000))
				list, err := b.engine.Asides()
				if err != nil || len(list) != 2 || list[0].Rule != "p-kept" || list[0].Source != 1 || list[0].Why == "" || list[0].Since.IsZero() {
					t.Errorf("set aside: %+v, %v", list, err)
				}
				if n := b.count("version-set-aside-failed"); n != 2 {
					t.Errorf("%d events", n)
				}
				if f := a.outbound("p-kept"); f.Aside != 2 || f.PendingObjects != 0 {
					t.Errorf("at the source: %+v", f)
				}
				failed := func(want string) {
					t.Helper()
					if st := a.engine.ObjectStatus(bad); st.Status != want {
						t.Errorf("object status %+v, want %s", st, want)
					}
				}
				failed(StatusFailed)
				if err := a.engine.WaitAck(t.Context(), bad, 1, object.Ack{Regions: 1}); !errors.Is(err, ErrAckPending) {
					t.Errorf("an ack class counts a destination that could not take it: %v", err)
				}
				// Both remember, through restarts and minutes in which it does not get better.
				b.restart()
				a.restart()
				w.set()
				failed(StatusFailed)
				time.Sleep(10 * time.Minute)
				failed(StatusFailed)
				if n := b.count("version-set-aside-failed"); n != 2 {
					t.Errorf("%d events after trying again", n)
				}
				a.spoil(m.Chunks[0].ID, was)
				w.until(3*time.Minute, "it heals", func() bool { return b.get("kept", "k3") != nil })
				w.settle()
				w.same("kept", true, a, b)
				failed(StatusCompleted)
				if list, err = b.engine.Asides(); err != nil || len(list) != 0 {
					t.Errorf("still aside: %+v, %v", list, err)
				}
			})
		})
	}
}

// TestPoisonGone: a version that was set aside and then purged at the source is forgotten.
func TestPoisonGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		b.halt()
		v, _ := a.put("kept", "k", random(1, 1000))
		m, err := a.store.Manifest("kept", "k", v.ID)
		if err != nil {
			t.Fatal(err)
		}
		a.spoil(m.Chunks[0].ID, nil)
		b.start()
		w.set()
		w.settle()
		if list, _ := b.engine.Asides(); len(list) != 1 {
			t.Fatalf("aside: %v", list)
		}
		if _, _, err := a.store.Purge(t.Context(), "kept", "k", v.ID, noOptions); err != nil {
			t.Fatal(err)
		}
		w.until(5*time.Minute, "it is forgotten", func() bool { list, _ := b.engine.Asides(); return len(list) == 0 })
		w.until(time.Minute, "the source knows", func() bool { return a.outbound("p-kept").Aside == 0 })
		w.same("kept", true, a, b)
	})
}

// TestSharedLostChunk: batches that rely on a chunk which an earlier batch asked for learn that it cannot
// be had, whichever of them is whole first.
func TestSharedLostChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		b.halt()
		const n = 3 * batchEntries
		shared := random(77, 3000)
		for i := range n {
			data := random(i, 100)
			if i%10 == 0 {
				data = shared
			}
			a.put("kept", fmt.Sprintf("k%04d", i), data)
		}
		m, err := a.store.Manifest("kept", "k0000", object.VersionID{})
		if err != nil {
			t.Fatal(err)
		}
		a.spoil(m.Chunks[0].ID, nil)
		b.start()
		w.set()
		w.settle()
		list, err := b.engine.Asides()
		if want := (n + 9) / 10; err != nil || len(list) != want || b.store.Stats().Objects != int64(n-want) {
			t.Errorf("%d aside, %d there, %v", len(list), b.store.Stats().Objects, err)
		}
		if n := b.count("flow-broken"); n != 0 {
			t.Errorf("the stream broke %d times over it", n)
		}
		// One more that needs it arrives from another region: then all can be had.
		w.policy(object.Policy{Name: "c", Bucket: "plain", From: regions("c"), To: regions("b")})
		c := w.add(3, "c")
		c.put("plain", "x", shared)
		w.set()
		w.until(2*time.Hour, "all is there", func() bool { return b.store.Stats().Objects == n+1 })
	})
}

// TestPoisonedVersion: a version that no store would take is set aside, and the batch goes on.
func TestPoisonedVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.set()
		w.settle()
		var f *follower
		for fl, r := range b.engine.followers {
			if fl.rule == "p-kept" {
				f = r.follower
			}
		}
		good := a.replica("good", random(1, 1000))
		good.Version.Bucket, good.Version.Chunks, good.Version.Size = "kept", nil, 0
		bad := good
		bad.Version.Key, bad.Version.Size = "bad", 7
		cur := cursor{Store: "s", Tail: true, Seq: 99}
		in := &inbound{batch: &batch{replicas: []store.Replica{bad, good}, cursor: cur}, lost: map[object.ChunkID]string{}, lease: b.store.NewLease(0)}
		marks, err := f.commit(t.Context(), in)
		if err != nil || len(marks) != 1 || marks[0] != refOf(&bad.Version).mark() {
			t.Fatalf("%v, %v", marks, err)
		}
		w.has(b, "kept", "good", []byte{})
		if h, err := f.hello(); err != nil || h.Cursor != cur || len(h.Aside) != 1 {
			t.Errorf("hello after it: %+v, %v", h, err)
		}
	})
}

// TestDiskFull: a destination without room waits, says so, does not have things sent for nothing, and goes on when
// there is room; nothing is lost.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		free := func(s *site, n uint64) {
			w.mu.Lock()
			defer w.mu.Unlock()
			s.free = n
		}
		for i := range 20 {
			a.put("kept", fmt.Sprintf("k%d", i), random(i, 300_000))
		}
		free(b, 1000)
		w.set()
		time.Sleep(time.Minute)
		sent := w.sent()
		v, seq := a.put("kept", "new", []byte("x"))
		time.Sleep(time.Hour)
		// Both ends of the other flow say that they are there.
		if n := w.sent() - sent; n > int64(time.Hour/pingPeriod)*2*10+1000 {
			t.Errorf("%d bytes sent to a full disk", n)
		}
		in := b.engine.Status().Flows[0]
		if in.Phase != PhaseWaiting || !strings.Contains(in.LastError, "no space") {
			t.Errorf("status: %+v", in)
		}
		if n := b.count("flow-waits-for-space"); n < 1 || n > 2 {
			t.Errorf("%d events", n)
		}
		if f := a.outbound("p-kept"); f.PendingObjects != 21 {
			t.Errorf("at the source: %+v", f)
		}
		free(b, 1<<40)
		if err := a.engine.WaitAck(t.Context(), v, seq, object.Ack{Regions: 1}); err != nil {
			t.Error(err)
		}
		w.settle()
		w.same("kept", true, a, b)
		// A source without room goes on serving.
		free(a, 1000)
		c := w.add(3, "c")
		w.set()
		w.settle()
		w.same("kept", true, a, c)
	})
}

// TestSilentPeer: a stream whose other end says nothing ends by itself on either side, and so does Serve.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, _ := pair(t)
		defer w.close()
		there, here, _ := newStream(time.Millisecond, &link{}, &link{}, -1)
		began := time.Now()
		a.engine.Serve(topo.RouterID(2), here) // nobody says hello
		if took := time.Since(began); took != silence {
			t.Errorf("served a silent stream for %s", took)
		}
		_ = there.Close()
	})
}
