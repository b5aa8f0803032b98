package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"pgregory.net/rapid"
)

// both is what Raft needs of a store.
type both interface {
	raft.LogStore
	raft.StableStore
}

func mustOpen(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Options{Dir: "raft", FS: fs, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBolt(t testing.TB, dir string) both {
	t.Helper()
	b, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "oracle"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func entry(index, term uint64) *raft.Log {
	l := &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
	if index%3 == 0 {
		l.Extensions = []byte{1, 2, 3}
	}
	if index%4 == 0 {
		l.Type, l.Data = raft.LogNoop, nil
	}
	if index%2 == 0 {
		l.AppendedAt = time.Unix(1_700_000_000, int64(index))
	}
	return l
}

func TestContract(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) both{
		"pebble": func(t *testing.T) both {
			s := mustOpen(t, vfs.NewMem())
			t.Cleanup(func() { s.Close() })
			return s
		},
		"boltdb": func(t *testing.T) both { return newBolt(t, t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) { contract(t, open(t)) })
	}
}

// contract is what Raft relies on, whoever keeps the log.
func contract(t *testing.T, s both) {
	bounds := func(first, last uint64) {
		t.Helper()
		f, err1 := s.FirstIndex()
		l, err2 := s.LastIndex()
		if f != first || l != last || err1 != nil || err2 != nil {
			t.Fatalf("bounds %d to %d (%v, %v), want %d to %d", f, l, err1, err2, first, last)
		}
	}
	bounds(0, 0)
	var l raft.Log
	if err := s.GetLog(1, &l); err != raft.ErrLogNotFound {
		t.Fatalf("an entry of an empty log: %v, want ErrLogNotFound itself", err)
	}
	// A log that follows a snapshot begins anywhere.
	for i := uint64(11); i <= 30; i += 4 {
		if err := s.StoreLogs([]*raft.Log{entry(i, 1), entry(i+1, 1), entry(i+2, 1), entry(i+3, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	bounds(11, 30)
	for i := uint64(11); i <= 30; i++ {
		if err := s.GetLog(i, &l); err != nil || !same(&l, entry(i, 1)) {
			t.Fatalf("entry %d: %+v, %v", i, l, err)
		}
	}
	for _, r := range []struct{ lo, hi, first, last uint64 }{{25, 30, 11, 24}, {1, 14, 15, 24}, {30, 40, 15, 24}, {20, 19, 15, 24}, {15, 24, 0, 0}} {
		if err := s.DeleteRange(r.lo, r.hi); err != nil {
			t.Fatal(err)
		}
		bounds(r.first, r.last)
	}
	if err := s.GetLog(20, &l); err != raft.ErrLogNotFound {
		t.Fatalf("a removed entry: %v", err)
	}
	if err := s.StoreLog(entry(100, 9)); err != nil {
		t.Fatal(err)
	}
	bounds(100, 100)

	if v, _ := s.GetUint64([]byte("CurrentTerm")); v != 0 {
		t.Fatalf("term before one was set: %d", v)
	}
	if v, _ := s.Get([]byte("LastVoteCand")); v != nil {
		t.Fatalf("vote before one was given: %q", v)
	}
	if err := errors.Join(s.SetUint64([]byte("CurrentTerm"), 7), s.Set([]byte("LastVoteCand"), []byte("r3"))); err != nil {
		t.Fatal(err)
	}
	term, err1 := s.GetUint64([]byte("CurrentTerm"))
	vote, err2 := s.Get([]byte("LastVoteCand"))
	if term != 7 || string(vote) != "r3" || err1 != nil || err2 != nil {
		t.Fatalf("term %d, vote %q, %v, %v", term, vote, err1, err2)
	}
}

func same(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && string(a.Data) == string(b.Data) &&
		string(a.Extensions) == string(b.Extensions) && a.AppendedAt.Equal(b.AppendedAt)
}

// Whatever Raft asks for, the answers are boltdb's, also after the store is opened again.
func TestLikeBoltdb(t *testing.T) {
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		fs := vfs.NewMem()
		s := mustOpen(t, fs)
		defer func() { s.Close() }()
		oracle := newBolt(t, filepath.Join(mkdir(t, dir, round)))
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				last, _ := oracle.LastIndex()
				if last == 0 {
					last = rapid.Uint64Range(0, 50).Draw(rt, "start")
				}
				var logs []*raft.Log
				for i := range rapid.Uint64Range(1, 5).Draw(rt, "n") {
					logs = append(logs, entry(last+1+i, rapid.Uint64Range(1, 4).Draw(rt, "term")))
				}
				if err := errors.Join(s.StoreLogs(logs), oracle.StoreLogs(logs)); err != nil {
					rt.Fatal(err)
				}
			},
			"delete": func(rt *rapid.T) {
				first, _ := oracle.FirstIndex()
				last, _ := oracle.LastIndex()
				at := rapid.Uint64Range(first, last+1).Draw(rt, "at")
				lo, hi := first, at
				if rapid.Bool().Draw(rt, "tail") {
					lo, hi = at, last
				}
				if err := errors.Join(s.DeleteRange(lo, hi), oracle.DeleteRange(lo, hi)); err != nil {
					rt.Fatal(err)
				}
			},
			"set": func(rt *rapid.T) {
				k := []byte(rapid.SampledFrom([]string{"CurrentTerm", "LastVoteTerm"}).Draw(rt, "key"))
				v := rapid.Uint64().Draw(rt, "value")
				if err := errors.Join(s.SetUint64(k, v), oracle.SetUint64(k, v)); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(rt *rapid.T) {
				s.Close()
				s = mustOpen(t, fs)
			},
			"": func(rt *rapid.T) {
				if diff := compare(s, oracle); diff != "" {
					rt.Fatal(diff)
				}
			},
		})
	})
}

// compare says where two stores differ.
func compare(a, b both) string {
	af, _ := a.FirstIndex()
	bf, _ := b.FirstIndex()
	al, _ := a.LastIndex()
	bl, _ := b.LastIndex()
	if af != bf || al != bl {
		return fmt.Sprintf("bounds %d to %d and %d to %d", af, al, bf, bl)
	}
	var x, y raft.Log
	for i := af; i <= al && i > 0; i++ {
		if err := errors.Join(a.GetLog(i, &x), b.GetLog(i, &y)); err != nil || !same(&x, &y) {
			return fmt.Sprintf("entry %d: %+v and %+v (%v)", i, x, y, err)
		}
	}
	for _, k := range []string{"CurrentTerm", "LastVoteTerm"} {
		v, _ := a.GetUint64([]byte(k))
		w, _ := b.GetUint64([]byte(k))
		if v != w {
			return fmt.Sprintf("%s %d and %d", k, v, w)
		}
	}
	return ""
}

func TestEntryRoundTrip(t *testing.T) {
	for _, l := range []*raft.Log{entry(1, 1), entry(3, 2), entry(4, 1<<63), entry(12, 5)} {
		var got raft.Log
		if err := decode(l.Index, encode(l), &got); err != nil || !same(l, &got) {
			t.Errorf("%+v became %+v, %v", l, got, err)
		}
		if err := decode(l.Index+1, encode(l), &got); err == nil {
			t.Errorf("entry %d was accepted in the place of %d", l.Index, l.Index+1)
		}
		b := encode(l)
		for i := range b {
			c := slices.Clone(b)
			c[i] ^= 0x10
			if err := decode(l.Index, c, &got); err == nil {
				t.Errorf("entry %d with byte %d flipped was accepted", l.Index, i)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint64(3), encode(entry(3, 2)))
	f.Add(uint64(4), []byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, index uint64, b []byte) {
		var l raft.Log
		if decode(index, b, &l) == nil && string(encode(&l)) != string(b) {
			t.Errorf("%x was accepted and encodes as %x", b, encode(&l))
		}
	})
}
