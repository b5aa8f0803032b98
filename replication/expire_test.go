package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// expiring is a store with one bucket that keeps versions and one that does not, and an Expirer at any time.
type expiring struct {
	*Expirer
	rules string
	owns  bool
	did   []Expired
}

func newExpiring(t *testing.T, rules string) *expiring {
	t.Helper()
	x := &expiring{rules: rules, owns: true}
	st, err := store.Open(store.Options{
		Dir: "s", FS: vfs.NewMem(), TenantKey: [32]byte{1}, Region: "here", Router: 1, Clock: &object.Clock{}, MinPartSize: -1,
		Versioned: func(b string) bool { return b == "kept" },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	x.Expirer = &Expirer{
		Store: st, Region: "here", Owns: func() bool { return x.owns }, Exists: func(r topo.Region) bool { return r != "gone" },
		Emit: func(e Event) { x.did = append(x.did, e.(Expired)) },
		Buckets: func() map[string]object.Bucket {
			doc := map[object.Setting]string{object.SettingLifecycle: "<LifecycleConfiguration>" + x.rules + "</LifecycleConfiguration>"}
			return map[string]object.Bucket{
				"kept": {Name: "kept", Versioning: true, Settings: doc}, "plain": {Name: "plain", Settings: doc}, "other": {Name: "other"},
			}
		},
	}
	return x
}

func (x *expiring) put(t *testing.T, bucket, key string) object.Version {
	t.Helper()
	v, _, err := x.Store.Put(t.Context(), object.Version{Bucket: bucket, Key: key}, store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sweep runs the Expirer so many days from now.
func (x *expiring) sweep(t *testing.T, days int) {
	t.Helper()
	if err := x.Sweep(t.Context(), time.Now().AddDate(0, 0, days)); err != nil {
		t.Fatal(err)
	}
}

// left lists the versions of a bucket, markers with a "!".
func (x *expiring) left(t *testing.T, bucket string) string {
	t.Helper()
	p, err := x.Store.List(bucket, store.ListOptions{Versions: true})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range p.Entries {
		name := e.Version.Key
		if e.Version.DeleteMarker {
			name += "!"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

const expireAll = `<Rule><Filter><Prefix>log/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>`

func TestExpirerGoesThroughLife(t *testing.T) {
	x := newExpiring(t, expireAll)
	for _, bucket := range []string{"kept", "plain"} {
		x.put(t, bucket, "log/a")
		x.put(t, bucket, "log/a")
		x.put(t, bucket, "safe")
	}
	x.put(t, "other", "log/a")
	if _, err := x.Store.CreateUpload(t.Context(), store.Upload{Version: object.Version{Bucket: "kept", Key: "log/up"}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		days        int
		kept, plain string
	}{
		{0, "log/a log/a safe", "log/a safe"},
		{1, "log/a log/a safe", "log/a safe"},
		{2, "log/a safe", "log/a safe"},  // what was replaced today
		{4, "log/a! log/a safe", "safe"}, // the latest, behind a marker where versions are kept
		{4, "log/a! safe", "safe"},       // what the marker hid: by the store's clock, today
		{4, "safe", "safe"},              // a marker that hides nothing
		{9, "safe", "safe"},
	} {
		x.sweep(t, step.days)
		if k, p := x.left(t, "kept"), x.left(t, "plain"); k != step.kept || p != step.plain {
			t.Fatalf("after %d days %q and %q are left, want %q and %q", step.days, k, p, step.kept, step.plain)
		}
	}
	if x.left(t, "other") != "log/a" {
		t.Error("a bucket without a lifecycle was swept")
	}
	if ups, _, err := x.Store.ListUploads("kept", "", "", "", 0); err != nil || len(ups) != 0 {
		t.Errorf("uploads are left: %v, %v", ups, err)
	}
	if len(x.did) == 0 {
		t.Error("nothing was told")
	}
}

func TestExpirerLeavesToOthers(t *testing.T) {
	x := newExpiring(t, expireAll)
	for _, r := range []topo.Region{"elsewhere", "gone"} {
		v := object.Version{Bucket: "kept", Key: "log/" + string(r), Region: r, ID: object.VersionID{Time: object.MakeHLC(time.Now(), 0), Origin: 9}}
		if _, err := x.Store.ApplyReplica(t.Context(), []store.Replica{{Version: v}}, store.Cursor{}); err != nil {
			t.Fatal(err)
		}
	}
	x.owns = false
	x.sweep(t, 10)
	if got := x.left(t, "kept"); got != "log/elsewhere log/gone" {
		t.Errorf("who owns nothing left %q", got)
	}
	x.owns = true
	x.sweep(t, 10)
	if got := x.left(t, "kept"); got != "log/elsewhere log/gone! log/gone" {
		t.Errorf("left are %q: a region's versions are its own, those of a region that is gone everybody's", got)
	}
}

func TestExpirerKeepsWhatIsProtected(t *testing.T) {
	x := newExpiring(t, expireAll)
	v := x.put(t, "kept", "log/held")
	x.put(t, "kept", "log/held")
	hold := func(v *object.Version) error { v.Attributes.Hold = true; return nil }
	if _, _, err := x.Store.Amend(t.Context(), "kept", "log/held", v.ID, hold, store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	x.sweep(t, 2)
	if got := x.left(t, "kept"); got != "log/held log/held" || len(x.did) != 1 || x.did[0].Protected != 1 {
		t.Errorf("left are %q, told was %+v", got, x.did)
	}
}

func TestExpirerGoesOn(t *testing.T) {
	x := newExpiring(t, expireAll)
	for i := range 1500 { // more than a page
		x.put(t, "plain", fmt.Sprintf("log/%04d", i))
	}
	x.sweep(t, 5)
	if got := x.left(t, "plain"); got != "" {
		t.Errorf("left are %.80s", got)
	}
	x.rules = "<Rule/>"
	if err := x.Sweep(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "bucket plain") {
		t.Errorf("a document that means nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var told error
	x.Run(ctx, func(err error) { told = err })
	if told != nil && !errors.Is(told, context.Canceled) {
		t.Errorf("a Run that was ended told %v", told)
	}
}
