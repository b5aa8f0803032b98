package world

import (
	"fmt"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// bucket makes a bucket and a policy that sends all of it to every other region.
func bucket(w *World, at *Site, name string, ack object.Ack) {
	w.T.Helper()
	ctx, cancel := ask()
	defer cancel()
	if _, err := at.Admin.BucketCreate(ctx, admin.BucketCreateRequest{Name: name, Ack: ack}); err != nil {
		w.T.Fatalf("make bucket %s at %s: %v", name, at.Zone, err)
	}
	p := object.Policy{Name: name + "-everywhere", Bucket: name, From: object.RegionSet{All: true}, To: object.RegionSet{All: true}}
	if _, err := at.Admin.PolicyApply(ctx, admin.PolicyApplyRequest{Policies: []object.Policy{p}}); err != nil {
		w.T.Fatalf("apply policy to bucket %s at %s: %v", name, at.Zone, err)
	}
}

// put writes n objects of growing size, which all must be acknowledged.
func put(w *World, at *Site, prefix string, n int) {
	w.T.Helper()
	for i := range n {
		if err := w.Put(at, fmt.Sprintf("%s/%04d", prefix, i), w.Body(1<<(i%18)+i)); err != nil {
			w.T.Fatal(err)
		}
	}
}

// TestAnOceanIsCutAndMended replicates across the Pacific, cuts Querétaro off, goes on writing at both
// ends, and finds that all is everywhere after the cut is mended.
func TestAnOceanIsCutAndMended(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		var hangzhou, queretaro *Site
		w.Step("five regions share a bucket", func() {
			hangzhou = w.Found(Hangzhou)
			w.Join(Singapore, Tokyo, Frankfurt, Queretaro)
			queretaro = w.Site(Queretaro)
			w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt, Queretaro)
			w.Key(hangzhou)
			bucket(w, hangzhou, "models", object.AckLocal)
			w.Agree()
		})
		w.Step("what is written in Hangzhou comes to Querétaro", func() {
			put(w, hangzhou, "models/before", 40)
			w.Replicated(queretaro, minute)
		})
		w.Step("between Hangzhou and Tokyo nothing passes: packets go another way", func() {
			w.Cut(Hangzhou, Tokyo)
			w.Connected(Hangzhou, Tokyo)
			put(w, hangzhou, "models/detour", 10)
			w.Replicated(w.Site(Tokyo), minute)
		})
		w.Step("Querétaro is cut off from everybody; both sides go on writing", func() {
			w.Isolate(Queretaro)
			w.Pass(5 * time.Second)
			put(w, hangzhou, "models/here", 30)
			put(w, queretaro, "models/there", 30)
			w.Pass(minute)
			if d := w.Send(hangzhou, queretaro); d != 0 {
				t.Errorf("a packet passed the cut in %v", d)
			}
		})
		w.Step("the ocean is mended, and all is everywhere", func() {
			w.Rejoin(Queretaro)
			w.Heal(Hangzhou, Tokyo)
			w.Connected(Hangzhou, Tokyo, Queretaro)
			for _, s := range w.Members() {
				w.Replicated(s, 2*minute)
			}
			w.Agree()
		})
	})
}

// TestAcknowledgedMeansAcknowledged writes to a bucket whose writes are acknowledged when another region
// has them, and then loses the region that took the write.
func TestAcknowledgedMeansAcknowledged(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		hangzhou := w.Found(Hangzhou)
		w.Join(Singapore, Tokyo)
		w.Connected(Hangzhou, Singapore, Tokyo)
		w.Key(hangzhou)
		bucket(w, hangzhou, "ledger", object.Ack{Regions: 1})
		w.Agree()
		w.Known()
		w.Step("a write returns when a second region has it", func() {
			put(w, hangzhou, "ledger/safe", 10)
		})
		w.Step("with nobody to take it, it is not acknowledged", func() {
			w.Isolate(Hangzhou)
			w.Pass(5 * time.Second)
			if err := w.Put(hangzhou, "ledger/alone", w.Body(100)); err == nil {
				t.Error("a write was acknowledged that no other region has")
			}
		})
		w.Step("Hangzhou is gone, and what it acknowledged is in some region", func() {
			for name := range w.ledger.entries {
				if !anywhere(w, name, Singapore, Tokyo) {
					t.Errorf("%s is in no other region", name)
				}
			}
			w.Rejoin(Hangzhou)
			w.Connected(Hangzhou, Singapore, Tokyo)
			w.Replicated(w.Site(Tokyo), minute)
		})
	})
}

func anywhere(w *World, name string, zones ...topo.Zone) bool {
	for _, z := range zones {
		if b, err := w.Get(w.Site(z), name); err == nil && string(b) == string(w.ledger.entries[name].body) {
			return true
		}
	}
	return false
}
