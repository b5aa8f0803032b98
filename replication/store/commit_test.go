package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/galleon-net/galleon/replication/object"
)

// gate holds every sync of a log file until it is opened, and says that one waits.
type gate struct {
	shut    atomic.Bool
	waiting chan struct{}
	open    chan struct{}
}

func (g *gate) String() string { return "gate" }

func (g *gate) MaybeError(op errorfs.Op) error {
	if g.shut.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
		select {
		case g.waiting <- struct{}{}:
		default:
		}
		<-g.open
	}
	return nil
}

// Nobody sees a version before it is on the disk: not by Get, not in the listing, not in the log. And all
// who wait for one sync share the next.
func TestNothingIsSeenBeforeItsSync(t *testing.T) {
	g := &gate{waiting: make(chan struct{}, 1), open: make(chan struct{})}
	s := openTest(t, testOptions(errorfs.Wrap(vfs.NewMem(), g)))
	mustPut(t, s, testBucket, "before", nil)
	grew := s.LogNotify()
	g.shut.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { mustPut(t, s, testBucket, "k", []byte("x")) })
	<-g.waiting
	_, next := s.LogRange()
	if _, err := s.Get(testBucket, "k", object.VersionID{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("seen by Get: %v", err)
	}
	if p, err := s.List(testBucket, ListOptions{}); err != nil || len(p.Entries) != 1 {
		t.Errorf("seen in the listing: %v, %v", keys(p), err)
	}
	if e, n, err := s.Log(1, 0); err != nil || len(e) != 1 || n != 2 || next != 2 {
		t.Errorf("seen in the log: %v %d %v", e, n, err)
	}
	select {
	case <-grew:
		t.Error("the log was said to have grown")
	default:
	}
	g.shut.Store(false)
	close(g.open)
	wg.Wait()
	<-grew
	if e, n, err := s.Log(2, 0); err != nil || len(e) != 1 || n != 3 {
		t.Errorf("after the sync: %v %d %v", e, n, err)
	}
}

// Sequence numbers have no gaps, the log has every write once, conditions let one writer win.
func TestConcurrentWriters(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	const workers, rounds = 8, 40
	var wins atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				mustPut(t, s, testBucket, fmt.Sprintf("w%d/%d", w, i), []byte{byte(w)})
				_, _, err := putBytes(s, testBucket, fmt.Sprint("round", i), nil, PutOptions{IfNoneMatch: "*"})
				switch {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, ErrPrecondition):
					t.Error(err)
				}
			}
		})
	}
	followed := make(chan int)
	go func() { // a follower that reads as the log grows
		n, next := 0, Seq(1)
		for n < workers*rounds+rounds {
			grew := s.LogNotify()
			e, to, err := s.Log(next, 7)
			if err != nil {
				t.Error(err)
				break
			}
			for _, x := range e {
				if x.Seq != next {
					t.Errorf("entry %d, want %d", x.Seq, next)
				}
				next++
			}
			if n += len(e); to == next && len(e) == 0 {
				<-grew
			}
		}
		followed <- n
	}()
	wg.Wait()
	if n := <-followed; n != workers*rounds+rounds || wins.Load() != rounds {
		t.Errorf("followed %d entries, %d conditional writes won", n, wins.Load())
	}
	mustCheck(t, s)
}

func TestCancelledWrite(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	ctx, cancel := context.WithCancel(context.Background())
	w := s.NewWriter(ctx)
	defer w.Close()
	cancel()
	if _, err := w.Write([]byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.Finish(); !errors.Is(err, context.Canceled) {
		t.Errorf("finish: %v", err)
	}
}

func TestLogTrimAndCursors(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, testOptions(vfs.NewMem()))
	for i := range 5 {
		mustPut(t, s, testBucket, fmt.Sprint(i), nil)
	}
	if err := s.TrimLog(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Log(3, 0); !errors.Is(err, ErrTrimmed) {
		t.Errorf("log before its beginning: %v", err)
	}
	if e, n, err := s.Log(4, 0); err != nil || len(e) != 2 || n != 6 {
		t.Errorf("log: %v %d %v", e, n, err)
	}
	if e, n, err := s.Log(6, 0); err != nil || len(e) != 0 || n != 6 {
		t.Errorf("log at its end: %v %d %v", e, n, err)
	}
	if _, _, err := s.Log(7, 0); err == nil {
		t.Error("log behind its end")
	}
	for _, c := range []Cursor{{"a/1", []byte("x")}, {"a/2", []byte("y")}, {"b", []byte("z")}, {"a/2", nil}, {"a/3", []byte("w")}} {
		if err := s.SetCursor(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if cs, err := s.Cursors("a/"); err != nil || fmt.Sprintf("%s", cs) != "[{a/1 x} {a/3 w}]" {
		t.Errorf("cursors %s, %v", cs, err)
	}
	if err := s.SetCursor(ctx, Cursor{Name: "x", Value: make([]byte, maxCursorValue+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large cursor: %v", err)
	}
	n := 0
	err := s.Walk(ctx, testBucket, "1", func(r Replica, latest bool) error {
		if n++; n == 2 {
			return StopWalk
		}
		return nil
	})
	if n != 2 || err != nil {
		t.Errorf("walk: %d, %v", n, err)
	}
	mustCheck(t, s)
}
