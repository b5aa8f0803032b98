package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// TestConflict writes one key on both sides of a partition: both end with the same winner, and the loser is
// kept and listed.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b := w.add(1, "a"), w.add(2, "b")
		for _, bucket := range []string{"plain", "kept"} {
			w.policy(object.Policy{Name: bucket, Bucket: bucket, From: everywhere, To: everywhere})
		}
		w.set()
		a.put("kept", "k", []byte("common"))
		a.put("plain", "k", []byte("common"))
		w.settle()
		w.partition(1, 2, true)
		time.Sleep(time.Second)
		loser, _ := a.put("kept", "k", []byte("a's"))
		a.put("plain", "k", []byte("a's"))
		time.Sleep(time.Second)
		winner, _ := b.put("kept", "k", []byte("b's"))
		b.put("plain", "k", []byte("b's"))
		w.partition(1, 2, false)
		w.settle()
		w.same("kept", true, a, b)
		w.same("plain", true, a, b) // hidden, and there
		for _, s := range []*site{a, b} {
			w.has(s, "kept", "k", []byte("b's"))
			w.has(s, "plain", "k", []byte("b's"))
			if got := string(s.read(loser)); got != "a's" {
				t.Errorf("%s: the loser reads %q", s.id, got)
			}
		}
		for _, bucket := range []string{"kept", "plain"} {
			list, err := b.store.Conflicts(bucket, "", 0)
			if err != nil || len(list) != 1 || list[0].Loser.Region != "a" {
				t.Errorf("conflicts of %s in the winner's region: %+v, %v", bucket, list, err)
			} else if bucket == "kept" && (list[0].Loser.ID != loser.ID || list[0].Winner != winner.ID) {
				t.Errorf("conflict: %+v", list[0])
			}
		}
	})
}

// TestDeletes: markers and purges cross, in both directions, and a purge ends where it finds nothing.
func TestDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b, c := w.add(1, "a"), w.add(2, "b"), w.add(3, "c")
		for _, bucket := range []string{"plain", "kept"} {
			w.policy(object.Policy{Name: bucket, Bucket: bucket, From: everywhere, To: everywhere})
		}
		w.set()
		v, _ := a.put("kept", "k", []byte("1"))
		a.put("kept", "k", []byte("2"))
		a.put("plain", "p", []byte("1"))
		w.settle()
		b.del("kept", "k")
		b.del("plain", "p")
		w.settle()
		for _, s := range []*site{a, b, c} {
			w.has(s, "kept", "k", nil)
			w.has(s, "plain", "p", nil)
		}
		if _, _, err := c.store.Purge(t.Context(), "kept", "k", v.ID, noOptions); err != nil {
			t.Fatal(err)
		}
		w.settle()
		for _, s := range []*site{a, b, c} {
			if _, err := s.store.Get("kept", "k", v.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s still has the purged version: %v", s.id, err)
			}
		}
		w.same("kept", true, a, b, c)
		w.same("plain", true, a, b, c)
		_, before := a.store.LogRange()
		time.Sleep(time.Minute)
		if _, after := a.store.LogRange(); after != before {
			t.Errorf("the log still grows, from %d to %d: something runs in a circle", before, after)
		}
	})
}

func TestKeepDeletedAndPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b := w.add(1, "a"), w.add(2, "b")
		w.policy(object.Policy{Name: "p", Bucket: "kept", Prefix: "models/", From: regions("a"), To: regions("b"), KeepDeleted: true})
		v, _ := a.put("kept", "models/x", []byte("x"))
		a.put("kept", "models", []byte("no"))
		a.put("kept", "models.txt", []byte("no"))
		a.put("kept", "models/", []byte("a directory"))
		a.put("kept", "models0", []byte("no"))
		w.set()
		w.settle()
		a.put("kept", "models/y", []byte("y"))
		a.put("kept", "other/y", []byte("no"))
		a.del("kept", "models/y")
		if _, _, err := a.store.Purge(t.Context(), "kept", "models/x", v.ID, noOptions); err != nil {
			t.Fatal(err)
		}
		w.settle()
		var keys []string
		for line := range strings.Lines(b.holds("kept", false)) {
			keys = append(keys, strings.Fields(line)[0])
		}
		if fmt.Sprint(keys) != "[models/ models/x models/y]" {
			t.Errorf("the destination holds %v", keys)
		}
	})
}

// TestWalkSendsOwnNewest: where a bucket keeps no versions, a walk sends the newest that the region took,
// also when another region's write lies on top of it: what a destination gets does not depend on whether it
// walked or was there all along.
func TestWalkSendsOwnNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b := w.add(1, "a"), w.add(2, "b")
		w.policy(object.Policy{Name: "back", Bucket: "plain", From: regions("b"), To: regions("a")})
		w.set()
		a.put("plain", "k", []byte("a1"))
		a.put("plain", "k", []byte("a2"))
		time.Sleep(time.Second)
		b.put("plain", "k", []byte("b1"))
		w.settle()
		w.has(a, "plain", "k", []byte("b1"))
		c := w.add(3, "c")
		w.policy(object.Policy{Name: "on", Bucket: "plain", From: regions("a"), To: regions("c")})
		w.set()
		w.settle()
		w.has(c, "plain", "k", []byte("a2"))
		if n := strings.Count(c.holds("plain", true), "\n"); n != 1 {
			t.Errorf("c has %d versions", n)
		}
	})
}

// TestRegionOfTwo: a second router follows its owner in everything, and only the owner follows other regions.
func TestRegionOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b1, b2 := w.add(1, "a"), w.add(2, "b"), w.add(3, "b")
		for _, bucket := range []string{"plain", "kept"} {
			w.policy(object.Policy{Name: bucket, Bucket: bucket, From: everywhere, To: everywhere})
		}
		w.set()
		a.put("kept", "k", random(1, 500_000))
		b1.put("plain", "p", random(2, 100_000))
		w.settle()
		w.same("kept", true, a, b1, b2)
		w.same("plain", true, a, b1, b2)
		for _, f := range b2.engine.Status().Flows {
			if f.Inbound && f.From != 2 {
				t.Errorf("the second router follows %s: %+v", f.From, f)
			}
		}
		// The owner changes. What the new one takes reaches everybody, and nothing crosses the ocean twice.
		sent := w.sent()
		w.topo.Owners["b"] = 3
		w.set()
		b2.put("kept", "later", []byte("from the new owner"))
		a.put("kept", "last", []byte("from a"))
		w.settle()
		w.same("kept", true, a, b1, b2)
		w.same("plain", true, a, b1, b2)
		if n := w.sent() - sent; n > 50_000 {
			t.Errorf("a new owner cost %d bytes", n)
		}
	})
}

// TestOwnerReturns: an owner dies with writes that nobody has; another takes over; it comes back, and what it
// took comes to light.
func TestOwnerReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b1, b2 := w.add(1, "a"), w.add(2, "b"), w.add(3, "b")
		w.policy(object.Policy{Name: "p", Bucket: "kept", From: everywhere, To: everywhere})
		w.set()
		w.settle()
		w.partition(1, 2, true)
		w.partition(2, 3, true)
		b1.put("kept", "k", []byte("acknowledged, ack: local"))
		b1.halt()
		w.topo.Owners["b"] = 3
		w.set()
		b2.put("kept", "k2", []byte("by the new owner"))
		time.Sleep(10 * time.Second)
		w.has(a, "kept", "k2", []byte("by the new owner"))
		w.has(a, "kept", "k", nil)
		w.partition(1, 2, false)
		w.partition(2, 3, false)
		b1.start()
		w.set()
		w.settle()
		w.same("kept", true, a, b1, b2)
		w.has(a, "kept", "k", []byte("acknowledged, ack: local"))
	})
}

// TestPurgeAndNewOwner: an owner carries out a purge that one destination does not hear of before another router
// takes over. The destination walks the new owner's store, where there is nothing to see of it, and learns it.
func TestPurgeAndNewOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b1, b2 := w.add(1, "a"), w.add(2, "b"), w.add(3, "b")
		w.policy(object.Policy{Name: "p", Bucket: "kept", From: regions("b"), To: regions("a")})
		w.set()
		v, _ := b1.put("kept", "k", []byte("secret"))
		w.settle()
		w.partition(1, 2, true)
		if _, _, err := b1.store.Purge(t.Context(), "kept", "k", v.ID, noOptions); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Hour)
			if err := b2.engine.TrimLog(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.has(a, "kept", "k", []byte("secret"))
		w.topo.Owners["b"] = 3
		w.set()
		w.until(time.Minute, "the purge is known", func() bool { return a.get("kept", "k") == nil })
		w.same("kept", true, a, b1, b2)
	})
}

// TestPolicyChanges: a flow ends with its policy, and begins anew when the policy selects something else.
func TestPolicyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b := w.add(1, "a"), w.add(2, "b")
		a.put("kept", "x/1", []byte("1"))
		a.put("kept", "y/1", []byte("1"))
		w.policy(object.Policy{Name: "p", Bucket: "kept", Prefix: "x/", From: regions("a"), To: regions("b")})
		w.set()
		w.settle()
		w.has(b, "kept", "y/1", nil)
		w.topo.Policies = []object.Policy{{Name: "p", Bucket: "kept", Prefix: "", Priority: 7, From: regions("a"), To: regions("b")}}
		w.set()
		w.settle()
		w.has(b, "kept", "y/1", []byte("1"))
		w.topo.Policies = nil
		w.set()
		a.put("kept", "x/2", []byte("2"))
		time.Sleep(time.Minute)
		w.has(b, "kept", "x/2", nil)
		if n := len(a.engine.Status().Flows) + len(b.engine.Status().Flows); n != 0 {
			t.Errorf("%d flows without a policy", n)
		}
		// The same policy once more: it goes on where it was.
		w.topo.Policies = []object.Policy{{Name: "p", Bucket: "kept", From: regions("a"), To: regions("b")}}
		w.set()
		w.settle()
		w.has(b, "kept", "x/2", []byte("2"))
	})
}

// TestLateCatalog: a source that has not heard of a policy refuses, and serves as soon as it has.
func TestLateCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b := w.add(1, "a"), w.add(2, "b")
		a.put("kept", "k", []byte("1"))
		w.policy(object.Policy{Name: "p", Bucket: "kept", From: regions("a"), To: regions("b")})
		b.engine.Set(w.snapshot())
		time.Sleep(time.Minute)
		if f := b.engine.Status().Flows[0]; f.Phase != PhaseWaiting || !strings.Contains(f.LastError, "not heard") {
			t.Errorf("status while refused: %+v", f)
		}
		w.set()
		time.Sleep(time.Second)
		w.has(b, "kept", "k", []byte("1"))
	})
}

// TestPriority: on a slow link what is urgent overtakes a backfill that is under way, which goes on after it.
func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.change(func() { w.rate, w.access = 1<<20, true })
		a, b, c := w.add(1, "a"), w.add(2, "b"), w.add(3, "c")
		// Both arrive at b, from different sources: the gate is the destination's.
		w.policy(object.Policy{Name: "bulk", Bucket: "plain", From: regions("a"), To: regions("b"), Priority: 1})
		w.policy(object.Policy{Name: "urgent", Bucket: "kept", From: regions("c"), To: regions("b"), Priority: 50})
		const bulk, urgent = 16, 16
		for i := range bulk {
			a.put("plain", fmt.Sprintf("o%d", i), random(i, 2<<20))
		}
		w.set()
		time.Sleep(10 * time.Second)
		for i := range urgent {
			c.put("kept", fmt.Sprintf("o%d", i), random(1000+i, 1<<20))
		}
		seen := func(bucket string) int64 {
			st, err := b.store.BucketStats(bucket)
			if err != nil {
				t.Fatal(err)
			}
			return st.Objects
		}
		began, before := time.Now(), b.stored(t, a)
		w.until(10*time.Minute, "the urgent ones", func() bool { return seen("kept") == urgent })
		// They are 16 MiB at 1 MiB/s; what was asked for before them and every maxHold is some more.
		if took := time.Since(began); took > 27*time.Second {
			t.Errorf("the urgent ones took %s", took)
		}
		if got := b.stored(t, a) - before; got == 0 || got > 10<<20 {
			t.Errorf("%d bytes of the bulk while the urgent ones came: want some, and few", got)
		}
		w.settle()
		if seen("plain") != bulk {
			t.Errorf("%d of %d of the bulk", seen("plain"), bulk)
		}
	})
}

// TestDeadUrgentSourceHoldsNobody: a more urgent source that falls silent in the middle does not hold up the
// others for longer than maxHold at a time.
func TestDeadUrgentSourceHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		a, b, c := w.add(1, "a"), w.add(2, "b"), w.add(3, "c")
		w.policy(object.Policy{Name: "urgent", Bucket: "kept", From: regions("c"), To: regions("b"), Priority: 50})
		w.policy(object.Policy{Name: "calm", Bucket: "plain", From: regions("a"), To: regions("b")})
		w.change(func() { w.rate = 100_000 })
		c.put("kept", "large", random(1, 20<<20))
		w.set()
		time.Sleep(3 * time.Second)
		a.put("plain", "k", []byte("small"))
		began := time.Now()
		w.until(time.Hour, "the calm one", func() bool { return b.get("plain", "k") != nil })
		if took := time.Since(began); took > maxHold+2*time.Second {
			t.Errorf("held back for %s", took)
		}
		c.halt() // its retries are not more urgent than what is there
		a.put("plain", "k2", []byte("small"))
		began = time.Now()
		w.until(time.Hour, "the calm one", func() bool { return b.get("plain", "k2") != nil })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("held back for %s by a source that is gone", took)
		}
	})
}

// TestForeignVersionsAreRefused: a source cannot slip in under a policy what the policy does not carry.
func TestForeignVersionsAreRefused(t *testing.T) {
	r := policyRule(object.Policy{Name: "p", Bucket: "kept", Prefix: "x/", From: regions("a", "c"), To: everywhere})
	good := object.Version{Bucket: "kept", Key: "x/1", Region: "a", ID: object.VersionID{Time: 1, Origin: 1}}
	for _, c := range []struct {
		change func(*object.Version)
		purged bool
		want   bool
	}{
		{func(*object.Version) {}, false, true},
		{func(*object.Version) {}, true, true},
		{func(v *object.Version) { v.Region = "c" }, false, false},
		{func(v *object.Version) { v.Region = "c" }, true, true},
		{func(v *object.Version) { v.Key = "y/1" }, false, false},
		{func(v *object.Version) { v.Key = "y/1" }, true, false},
		{func(v *object.Version) { v.Bucket = "plain" }, false, false},
		{func(v *object.Version) { v.Bucket = "plain" }, true, false},
	} {
		v := good
		c.change(&v)
		if got := r.selects(&v, c.purged, 1, "a"); got != c.want {
			t.Errorf("%+v purged %t: %t", v, c.purged, got)
		}
	}
}

func TestFollows(t *testing.T) {
	top := Topology{
		Regions: map[topo.Region][]topo.RouterID{"a": {1, 2, 3}, "b": {4}, "c": {5}},
		Owners:  map[topo.Region]topo.RouterID{"a": 1, "b": 4, "c": 0},
		Policies: []object.Policy{
			{Name: "p", Bucket: "x", From: regions("b"), To: everywhere, Priority: 3},
			{Name: "q", Bucket: "x", From: everywhere, To: regions("b")},
		},
	}
	for id, want := range map[topo.RouterID]string{
		1: "@returned<r2 @returned<r3 p<r4", 2: "@region<r1", 3: "@region<r1", 4: "q<r1", 5: "",
	} {
		var got []string
		for _, f := range top.follows(id, top.regionOf(id)) {
			got = append(got, fmt.Sprintf("%s<%s", f.rule, f.source))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("router %s follows %q, want %q", id, s, want)
		}
	}
	// Who follows and who is followed are two readings of one thing.
	pairs := map[string]int{}
	for region, ids := range top.Regions {
		for _, id := range ids {
			for _, f := range top.follows(id, region) {
				pairs[fmt.Sprintf("%s %s %s %s", f.rule, f.hash, f.source, id)]++
			}
			for _, r := range top.outRules(id, region) {
				for _, to := range r.to {
					pairs[fmt.Sprintf("%s %s %s %s", r.name, r.hash, id, to)] += 10
				}
			}
		}
	}
	for p, n := range pairs {
		if n != 11 {
			t.Errorf("%s: %d, want both sides to know it", p, n)
		}
	}
}
