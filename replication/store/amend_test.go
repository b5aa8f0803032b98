package store

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/object"
)

func tag(v string) func(*object.Version) error {
	return func(x *object.Version) error { x.Attributes.Tags = []object.Tag{{Key: "k", Value: v}}; return nil }
}

// TestAmend: a change of attributes is logged as the version's, keeps its bytes, and survives.
func TestAmend(t *testing.T) {
	fs := vfs.NewMem()
	s := openTest(t, testOptions(fs))
	ctx := t.Context()
	for name, size := range map[string]int{"small": 100, "large": 3 << 20} {
		data := testData(1, size)
		v := mustPut(t, s, "kept", name, data)
		_, before := s.LogRange()
		got, seq, err := s.Amend(ctx, "kept", name, v.ID, tag("one"), PutOptions{})
		if err != nil || seq < before || got.Attributes.TagsAt.Region != "cn-hangzhou" || got.Attributes.HoldAt.Region != "" {
			t.Fatalf("%s: %+v, %d, %v", name, got, seq, err)
		}
		if b := mustRead(t, s, "kept", name); string(b) != string(data) {
			t.Fatalf("%s: other bytes after the change", name)
		}
		entries, _, err := s.Log(1, 100)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if e.Version.Key == name {
				n++
				if len(e.Version.Attributes.Tags) != 1 || len(e.Version.Chunks) == 0 {
					t.Errorf("%s: the log has %+v", name, e.Version)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d entries, want the one of the change", name, n)
		}
		// The same again changes nothing.
		if _, again, err := s.Amend(ctx, "kept", name, object.VersionID{}, tag("one"), PutOptions{}); err != nil || again != seq {
			t.Errorf("%s: the same tags made entry %d after %d: %v", name, again, seq, err)
		}
	}
	refuse := errors.New("no")
	if _, _, err := s.Amend(ctx, "kept", "small", object.VersionID{}, func(*object.Version) error { return refuse }, PutOptions{}); !errors.Is(err, refuse) {
		t.Errorf("a change that refuses: %v", err)
	}
	if _, _, err := s.Amend(ctx, "kept", "absent", object.VersionID{}, tag("x"), PutOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	mustCheck(t, s)
}

// TestAmendReplicates: two stores that change the same version end the same, whichever hears first.
func TestAmendReplicates(t *testing.T) {
	a := openTest(t, testOptions(vfs.NewMem()))
	o := testOptions(vfs.NewMem())
	o.Region, o.Router = "mx-queretaro", 2
	b := openTest(t, o)
	ctx := t.Context()
	v, _, err := a.Put(ctx, object.Version{Bucket: "kept", Key: "k"}, PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	carry := func(from, to *Store) int {
		t.Helper()
		whole, err := from.Manifest("kept", "k", v.ID)
		if err != nil {
			t.Fatal(err)
		}
		n, err := to.ApplyReplica(ctx, []Replica{{Version: whole}}, Cursor{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	carry(a, b)
	if _, _, err := a.Amend(ctx, "kept", "k", v.ID, tag("a"), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Amend(ctx, "kept", "k", v.ID, func(x *object.Version) error { x.Attributes.Hold = true; return nil }, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if carry(a, b) != 1 || carry(b, a) != 1 || carry(a, b) != 0 || carry(b, a) != 0 {
		t.Error("a change must arrive once and only once")
	}
	x, err1 := a.Get("kept", "k", v.ID)
	y, err2 := b.Get("kept", "k", v.ID)
	if err1 != nil || err2 != nil || !x.Attributes.Equal(y.Attributes) || !x.Attributes.Hold || len(x.Attributes.Tags) != 1 {
		t.Errorf("%+v and %+v, %v, %v", x.Attributes, y.Attributes, err1, err2)
	}
	// A purge that the other carried out does not go past a hold.
	if n, err := b.ApplyReplica(ctx, []Replica{{Version: object.Version{Bucket: "kept", Key: "k", ID: v.ID}, Purged: true}}, Cursor{}); n != 0 || err != nil {
		t.Errorf("a purge of a held version: %d, %v", n, err)
	}
}

// TestProtected: what is retained or held is neither removed nor replaced, until it may be.
func TestProtected(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	ctx := t.Context()
	retain := func(m object.Mode, until time.Time) func(*object.Version) error {
		return func(v *object.Version) error {
			v.Attributes.Retention = object.Retention{Mode: m, Until: until}
			return nil
		}
	}
	v := mustPut(t, s, "kept", "k", []byte("x"))
	for _, c := range []struct {
		name         string
		change       func(*object.Version) error
		bypass, goes bool
	}{
		{"hold", func(v *object.Version) error { v.Attributes.Hold = true; return nil }, true, false},
		{"hold lifted, compliance", func(v *object.Version) error {
			v.Attributes.Hold = false
			return retain(object.Compliance, time.Now().Add(time.Hour))(v)
		}, true, false},
		{"governance", retain(object.Governance, time.Now().Add(time.Hour)), false, false},
		{"governance, bypassed", retain(object.Governance, time.Now().Add(time.Hour)), true, true},
	} {
		if _, _, err := s.Amend(ctx, "kept", "k", v.ID, c.change, PutOptions{}); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Purge(ctx, "kept", "k", v.ID, PutOptions{BypassGovernance: c.bypass})
		if gone := err == nil; gone != c.goes || !gone && !errors.Is(err, ErrProtected) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	n := mustPut(t, s, testBucket, "null", []byte("x"))
	if _, _, err := s.Amend(ctx, testBucket, "null", n.ID, func(v *object.Version) error { v.Attributes.Hold = true; return nil }, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := putBytes(s, testBucket, "null", []byte("y"), PutOptions{}); !errors.Is(err, ErrProtected) {
		t.Errorf("a held null version was replaced: %v", err)
	}
	if _, _, err := s.Delete(ctx, testBucket, "null", PutOptions{}); !errors.Is(err, ErrProtected) {
		t.Errorf("a held null version was deleted: %v", err)
	}
}
