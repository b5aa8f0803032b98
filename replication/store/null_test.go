package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/object"
)

// TestNullVersions plays what buckets go through, off, kept and suspended in any order, and shows the versions that a
// client sees after each step: n is the null version, v another, ! a delete marker.
func TestNullVersions(t *testing.T) {
	for name, steps := range map[string][][2]string{
		"off": {{"put", "n1"}, {"put", "n2"}, {"del", ""}, {"put", "n3"}, {"purge null", ""}},
		"kept after off": {{"put", "n1"}, {"put", "n2"}, {"kept", "n2"}, {"put", "v3 n2"}, {"del", "v! v3 n2"},
			{"purge null", "v! v3"}, {"purge top", "v3"}, {"put", "v4 v3"}},
		"kept after a delete": {{"put", "n1"}, {"del", ""}, {"kept", ""}, {"put", "v2"}, {"purge top", ""}},
		"suspended": {{"kept", ""}, {"put", "v1"}, {"suspended", "v1"}, {"put", "n2 v1"}, {"put", "n3 v1"}, {"del", "n! v1"},
			{"put", "n4 v1"}, {"kept", "n4 v1"}, {"put", "v5 n4 v1"}, {"suspended", "v5 n4 v1"}, {"put", "n6 v5 v1"}, {"purge null", "v5 v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			state := "off"
			o := testOptions(vfs.NewMem())
			o.Versioned = func(string) bool { return state == "kept" }
			o.Suspended = func(string) bool { return state == "suspended" }
			s := openTest(t, o)
			puts := 0
			for i, step := range steps {
				var err error
				switch step[0] {
				case "put":
					puts++
					mustPut(t, s, "nulls", "k", []byte(fmt.Sprint(puts)))
				case "del":
					_, _, err = s.Delete(t.Context(), "nulls", "k", PutOptions{})
				case "purge null":
					_, _, err = s.Purge(t.Context(), "nulls", "k", object.NullVersion, PutOptions{})
				case "purge top":
					top, errGet := s.Get("nulls", "k", object.VersionID{})
					if errGet != nil {
						t.Fatal(errGet)
					}
					_, _, err = s.Purge(t.Context(), "nulls", "k", top.ID, PutOptions{})
				default:
					state = step[0]
				}
				if err != nil {
					t.Fatalf("step %d, %s: %v", i, step[0], err)
				}
				if got := shown(t, s); got != step[1] {
					t.Fatalf("step %d, %s: %q is shown, want %q", i, step[0], got, step[1])
				}
			}
			mustCheck(t, s)
		})
	}
}

// shown lists the versions of key k, page by page of one, and holds readers of the null version to it.
func shown(t *testing.T, s *Store) string {
	t.Helper()
	var out []string
	var nulls []object.VersionID
	o := ListOptions{Versions: true, Limit: 1}
	for more := true; more; {
		p, err := s.List("nulls", o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			v := e.Version
			name := "v"
			if v.Null {
				name = "n"
				nulls = append(nulls, v.ID)
			}
			if v.DeleteMarker {
				name += "!"
			} else if data, err := readBytes(s, v); err == nil {
				name += string(data)
			}
			if e.Latest != (len(out) == 0) {
				t.Errorf("%s is latest: %v", name, e.Latest)
			}
			out = append(out, name)
		}
		more = p.Truncated
		o.After, o.AfterVersion = p.Next, p.NextVersion
	}
	whole, err := s.List("nulls", ListOptions{Versions: true})
	if err != nil || len(whole.Entries) != len(out) {
		t.Errorf("in one page %d versions, page by page %d: %v", len(whole.Entries), len(out), err)
	}
	null, err := s.Get("nulls", "k", object.NullVersion)
	if err == nil && !slices.Contains(nulls, null.ID) || err != nil && (len(nulls) > 0 || !errors.Is(err, ErrNotFound)) {
		t.Errorf("the null version is %v, %v; listed are %v", null.ID, err, nulls)
	}
	return strings.Join(out, " ")
}
