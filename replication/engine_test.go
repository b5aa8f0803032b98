package replication

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/galleon-net/galleon/replication/object"
)

// pair makes two regions, a with router 1 and b with router 2, and a policy from a to b for both buckets.
func pair(t testing.TB) (w *world, a, b *site) {
	w = newWorld(t)
	a, b = w.add(1, "a"), w.add(2, "b")
	for _, bucket := range []string{"plain", "kept"} {
		w.policy(object.Policy{Name: "p-" + bucket, Bucket: bucket, From: regions("a"), To: everywhere})
	}
	return w, a, b
}

func TestBackfillThenTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		for i := range 40 {
			a.put("plain", fmt.Sprintf("old/%02d", i), random(i, i*997))
			a.put("kept", fmt.Sprintf("k%d", i%7), random(100+i, 300_000))
		}
		a.del("kept", "k3")
		a.del("plain", "old/07")
		w.set()
		w.settle()
		w.same("plain", false, a, b)
		w.same("kept", true, a, b)
		// The tail: new, changed, deleted, deleted for good.
		a.put("plain", "new", random(7, 5_000_000))
		a.put("plain", "old/01", []byte{})
		v, _ := a.put("kept", "k1", []byte("wrong"))
		a.del("kept", "k2")
		w.settle()
		w.same("kept", true, a, b)
		if _, _, err := a.store.Purge(t.Context(), "kept", "k1", v.ID, noOptions); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.same("plain", false, a, b)
		w.same("kept", true, a, b)
		w.has(b, "plain", "old/01", []byte{})
		w.has(b, "plain", "old/07", nil)
		if n := len(b.get("plain", "new")); n != 5_000_000 {
			t.Errorf("new has %d bytes", n)
		}
	})
}
