package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// TestRegionsConverge writes in three regions and carries the versions between them late, twice and in any order. In
// the end all have the same versions and the same conflicts: those versions that lost and that nobody replaced.
func TestRegionsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		var regions []*Store
		for i, name := range []topo.Region{"cn-hangzhou", "mx-queretaro", "eu-frankfurt"} {
			o := testOptions(vfs.NewMem())
			o.Region, o.Router, o.CacheBytes, o.Versioned = name, topo.RouterID(i+1), 1<<20, nil
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			regions = append(regions, s)
		}
		var all []object.Version
		deliver := func(to int, vs ...object.Version) {
			var batch []Replica
			for _, v := range vs {
				batch = append(batch, Replica{Version: v})
			}
			if _, err := regions[to].ApplyReplica(ctx, batch, Cursor{}); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			at := rapid.IntRange(0, 2).Draw(t, "region")
			if len(all) > 0 && rapid.Bool().Draw(t, "deliver") {
				deliver(at, rapid.SampledFrom(all).Draw(t, "version"))
				continue
			}
			key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
			v, _, err := putBytes(regions[at], testBucket, key, nil, PutOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
		for i := range regions {
			deliver(i, rapid.Permutation(all).Draw(t, "rest")...)
		}
		want := lost(all)
		for i, s := range regions {
			cs, err := s.Conflicts(testBucket, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range cs {
				got = append(got, fmt.Sprint(c.Loser.Key, c.Loser.ID))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s lists conflicts %v, want %v", s.opts.Region, got, want)
			}
			a, _ := regions[0].List(testBucket, ListOptions{Versions: true})
			b, _ := s.List(testBucket, ListOptions{Versions: true})
			if fmt.Sprint(a.lines()) != fmt.Sprint(b.lines()) {
				t.Fatalf("region %d has other versions", i)
			}
		}
	})
}

func lost(all []object.Version) (out []string) {
	for _, v := range all {
		latest, replaced := true, false
		for _, w := range all {
			if w.Key == v.Key {
				latest = latest && !v.ID.Less(w.ID)
				replaced = replaced || w.Replaces == v.ID
			}
		}
		if !latest && !replaced {
			out = append(out, fmt.Sprint(v.Key, v.ID))
		}
	}
	slices.Sort(out)
	return out
}
