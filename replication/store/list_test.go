package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/replication/object"
)

func TestListPages(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	for _, k := range []string{"a", "a/1", "a/2/x", "a\x01", "b/1", "b/2", "c", "é", "\u65e5"} {
		mustPut(t, s, testBucket, k, []byte(k))
	}
	mustPut(t, s, "bucket2", "z", nil)
	mustPut(t, s, "bucke", "z", nil)
	if _, _, err := s.Delete(context.Background(), testBucket, "c", PutOptions{}); err != nil {
		t.Fatal(err)
	}
	show := func(o ListOptions) string {
		t.Helper()
		p, err := s.List(testBucket, o)
		if err != nil {
			t.Fatal(err)
		}
		out := fmt.Sprintf("%q %q", keys(p), p.Prefixes)
		if p.Truncated {
			out += fmt.Sprintf(" next %q", p.Next)
		}
		return out
	}
	for _, c := range []struct {
		o    ListOptions
		want string
	}{
		{ListOptions{}, `["a" "a\x01" "a/1" "a/2/x" "b/1" "b/2" "é" "日"] []`},
		{ListOptions{Delimiter: "/"}, `["a" "a\x01" "é" "日"] ["a/" "b/"]`},
		{ListOptions{Delimiter: "/", Limit: 3}, `["a" "a\x01"] ["a/"] next "a/"`},
		{ListOptions{Delimiter: "/", Limit: 1, After: "a/"}, `[] ["b/"] next "b/"`},
		{ListOptions{Delimiter: "/", After: "a/\xff"}, `["é" "日"] ["b/"]`},
		{ListOptions{Delimiter: "/", After: "a/1"}, `["é" "日"] ["a/" "b/"]`},
		{ListOptions{Prefix: "a/", Delimiter: "/"}, `["a/1"] ["a/2/"]`},
		{ListOptions{Prefix: "a/", Delimiter: "/", After: "a/1"}, `[] ["a/2/"]`},
		{ListOptions{Prefix: "a"}, `["a" "a\x01" "a/1" "a/2/x"] []`},
		{ListOptions{After: "a"}, `["a\x01" "a/1" "a/2/x" "b/1" "b/2" "é" "日"] []`},
		{ListOptions{After: "zzz"}, `["é" "日"] []`},
		{ListOptions{Prefix: "nothing"}, `[] []`},
	} {
		if got := show(c.o); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.o, got, c.want)
		}
	}
}

// twin is a store without a disk, without an index and without a thought for speed.
type twin struct{ versions []object.Version }

func (m *twin) of(key string) (out []object.Version) {
	for _, v := range m.versions {
		if v.Key == key {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b object.Version) int {
		if b.ID.Less(a.ID) {
			return -1
		}
		return 1
	})
	return out
}

// line is an entry or a common prefix.
type line struct {
	key    string
	prefix bool
	id     object.VersionID
	latest bool
}

func (m *twin) list(o ListOptions) (out []line, more bool) {
	var all []string
	for _, v := range m.versions {
		all = append(all, v.Key)
	}
	slices.Sort(all)
	var lines []line
	for _, k := range slices.Compact(all) {
		if !strings.HasPrefix(k, o.Prefix) {
			continue
		}
		vs := m.of(k)
		if !o.Versions && vs[0].DeleteMarker {
			continue
		}
		if i := strings.Index(k[len(o.Prefix):], o.Delimiter); i >= 0 && o.Delimiter != "" {
			p := k[:len(o.Prefix)+i+len(o.Delimiter)]
			if k > o.After && p != o.After && !strings.HasPrefix(o.After, p+"\xff") && (len(lines) == 0 || lines[len(lines)-1].key != p) {
				lines = append(lines, line{key: p, prefix: true})
			}
			continue
		}
		for i, v := range vs {
			if !o.Versions && i > 0 {
				break
			}
			inside := o.Versions && k == o.After && !o.AfterVersion.IsZero() && v.ID.Less(o.AfterVersion)
			if k > o.After || inside {
				lines = append(lines, line{key: k, id: v.ID, latest: i == 0})
			}
		}
	}
	if len(lines) > o.Limit {
		return lines[:o.Limit], true
	}
	return lines, false
}

func (p ListPage) lines() (out []line) {
	for _, e := range p.Entries {
		out = append(out, line{key: e.Version.Key, id: e.Version.ID, latest: e.Latest})
	}
	for _, q := range p.Prefixes {
		out = append(out, line{key: q, prefix: true})
	}
	slices.SortStableFunc(out, func(a, b line) int { return strings.Compare(a.key, b.key) })
	return out
}

// TestAgainstTwin does the same things to the store and to the twin, in any order: writes, deletes, purges and
// replicas that arrive late or twice; then both must list, get and count alike, page by page.
func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := testOptions(vfs.NewMem())
		o.Versioned = nil
		o.CacheBytes = 1 << 20
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var m twin
		key := rapid.StringOfN(rapid.SampledFrom([]rune("ab/\x01é")), 1, 4, -1)
		ctx := context.Background()
		for range rapid.IntRange(0, 25).Draw(t, "changes") {
			k := key.Draw(t, "key")
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0, 1:
				v, _, err := putBytes(s, testBucket, k, []byte(k), PutOptions{})
				if err != nil {
					t.Fatal(err)
				}
				m.versions = append(m.versions, v)
			case 2:
				v, _, err := s.Delete(ctx, testBucket, k, PutOptions{})
				if err != nil {
					t.Fatal(err)
				}
				m.versions = append(m.versions, v)
			case 3:
				if vs := m.of(k); len(vs) > 0 {
					v := vs[rapid.IntRange(0, len(vs)-1).Draw(t, "which")]
					if _, _, err := s.Purge(ctx, testBucket, k, v.ID, PutOptions{}); err != nil {
						t.Fatal(err)
					}
					m.versions = slices.DeleteFunc(m.versions, func(w object.Version) bool { return w.ID == v.ID && w.Key == k })
				}
			case 4:
				v := object.Version{Bucket: testBucket, Key: k, DeleteMarker: rapid.Bool().Draw(t, "marker"), Region: "mx-queretaro",
					ID: object.VersionID{Time: object.HLC(rapid.Uint64Range(1, 5).Draw(t, "time")), Origin: 9}}
				fresh := !slices.ContainsFunc(m.versions, func(w object.Version) bool { return w.Key == k && w.ID == v.ID })
				n, err := s.ApplyReplica(ctx, []Replica{{Version: v}}, Cursor{})
				if err != nil || n == 1 != fresh {
					t.Fatalf("replica: %d, %v; new %v", n, err, fresh)
				}
				if fresh {
					m.versions = append(m.versions, v)
				}
			}
		}
		lo := ListOptions{
			Prefix:    rapid.SampledFrom([]string{"", "a", "a/", "é"}).Draw(t, "prefix"),
			Delimiter: rapid.SampledFrom([]string{"", "/", "b/"}).Draw(t, "delimiter"),
			After:     rapid.SampledFrom([]string{"", "a", "a/", "a/a", "b/\xff"}).Draw(t, "after"),
			Limit:     rapid.IntRange(1, 4).Draw(t, "limit"),
			Versions:  rapid.Bool().Draw(t, "versions"),
		}
		for {
			page, err := s.List(testBucket, lo)
			if err != nil {
				t.Fatal(err)
			}
			want, more := m.list(lo)
			if got := page.lines(); fmt.Sprint(got) != fmt.Sprint(want) || page.Truncated != more {
				t.Fatalf("%+v:\n got %+v %v\nwant %+v %v", lo, got, page.Truncated, want, more)
			}
			if !page.Truncated {
				break
			}
			lo.After, lo.AfterVersion = page.Next, page.NextVersion
		}
		if st, err := s.BucketStats(testBucket); err != nil || st.Versions != int64(len(m.versions)) || st.Objects != s.Stats().Objects {
			t.Fatalf("bucket has %+v, %v", st, err)
		}
		if res, err := s.Check(ctx); err != nil || res.Problems > 0 {
			t.Fatalf("check: %v %q", err, res.Bad)
		}
	})
}
