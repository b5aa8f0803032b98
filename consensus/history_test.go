package consensus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// A bucket that is created and deleted again is a register of one bit whose writes say what it was:
// enough to see every lost, repeated, reordered or stale operation.

type verb int

const (
	opCreate verb = iota
	opDelete
	opRead
)

type input struct {
	verb   verb
	bucket string
}

type output struct {
	// was is what the operation found: the bucket there, or not.
	was     bool
	unknown bool
}

var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range history {
			by[o.Input.(input).bucket] = append(by[o.Input.(input).bucket], o)
		}
		var out [][]porcupine.Operation
		for _, h := range by {
			out = append(out, h)
		}
		return out
	},
	Init: func() any { return false },
	Step: func(s, in, out any) (bool, any) {
		there, i, o := s.(bool), in.(input), out.(output)
		next := there
		switch i.verb {
		case opCreate:
			next = true
		case opDelete:
			next = false
		}
		return o.unknown || o.was == there, next
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		return fmt.Sprintf("%s %s: was %v unknown %v", [...]string{"create", "delete", "read"}[i.verb], i.bucket, o.was, o.unknown)
	},
}

// history is what clients saw. Its clock only counts, so that two events never fall together.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
	// reads and writes count what was answered.
	reads, writes int
}

func (h *history) record(client int, in input, do func() (output, error)) {
	call := h.clock.Add(1)
	out, err := do()
	end := h.clock.Add(1)
	if err != nil {
		if in.verb == opRead || !errors.Is(err, ErrUnknownOutcome) {
			return // it had no effect and saw nothing
		}
		out.unknown, end = true, math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && in.verb == opRead {
		h.reads++
	} else if err == nil {
		h.writes++
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}

// check gives Porcupine's verdict. Not knowing is a failure, in either direction.
func (h *history) check(t *testing.T) bool {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	res := porcupine.CheckOperationsTimeout(model, h.ops, 20*time.Second)
	if res == porcupine.Unknown {
		t.Fatalf("Porcupine did not come to an end over %d operations", len(h.ops))
	}
	return res == porcupine.Ok
}

func (h *history) write(n *Node, client int, v verb, bucket string, within time.Duration) {
	if n == nil {
		return
	}
	h.record(client, input{v, bucket}, func() (output, error) {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		c := state.Command{Author: "test", CreateBucket: &state.CreateBucket{Bucket: object.Bucket{Name: bucket}}}
		if v == opDelete {
			c.CreateBucket, c.DeleteBucket = nil, &state.DeleteBucket{Name: bucket}
		}
		r, err := n.Propose(ctx, c)
		return output{was: (r.Err == nil) == (v == opDelete)}, err
	})
}

func (h *history) read(n *Node, client int, bucket string, within time.Duration) {
	if n == nil {
		return
	}
	h.record(client, input{opRead, bucket}, func() (output, error) {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		s, err := n.Read(ctx, Linearizable)
		if err != nil {
			return output{}, err
		}
		_, ok := s.Buckets[bucket]
		return output{was: ok}, nil
	})
}

// Clients on voters and watchers work while lines are cut, leaders hand over and routers lose power.
func TestHistories(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := &history{}
			inWorld(t, 5, 3+2*int(seed%2), nil, func(w *world) {
				w.waitLeader()
				stop := make(chan struct{})
				var all sync.WaitGroup
				for client := range 6 {
					rng := rand.New(rand.NewPCG(seed, uint64(client)))
					all.Go(func() {
						for {
							select {
							case <-stop:
								return
							case <-time.After(time.Duration(rng.IntN(400)) * time.Millisecond):
							}
							n := w.node(topo.RouterID(rng.IntN(5) + 1))
							bucket := fmt.Sprint("bucket-", rng.IntN(3))
							if v := verb(rng.IntN(3)); v == opRead {
								h.read(n, client, bucket, 8*time.Second)
							} else {
								h.write(n, client, v, bucket, 8*time.Second)
							}
						}
					})
				}
				rng := rand.New(rand.NewPCG(seed, 99))
				for range 20 {
					w.harm(rng)
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
				}
				close(stop)
				all.Wait()
				w.waitLeader()
				w.agree()
			})
			if !h.check(t) {
				t.Errorf("seed %d: the history is not linearizable", seed)
			}
			if h.reads < 30 || h.writes < 60 {
				t.Errorf("seed %d: only %d reads and %d writes were answered: this proves little", seed, h.reads, h.writes)
			}
			t.Logf("%d reads, %d writes, %d operations", h.reads, h.writes, len(h.ops))
		})
	}
}

// harm does one bad thing to a cluster and takes it back.
func (w *world) harm(rng *rand.Rand) {
	ids := w.ids()
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	long := time.Duration(1000+rng.IntN(9000)) * time.Millisecond
	switch rng.IntN(4) {
	case 0:
		w.note("split %v | %v", ids[:2], ids[2:])
		w.wire.split(ids[:2], ids[2:], true)
		time.Sleep(long)
		w.wire.split(ids[:2], ids[2:], false)
	case 1:
		w.note("cut %v to %v one way", ids[0], ids[1:])
		for _, to := range ids[1:] {
			w.wire.setCut(ids[0], to, true)
		}
		time.Sleep(long)
		for _, to := range ids[1:] {
			w.wire.setCut(ids[0], to, false)
		}
	case 2:
		w.crash(ids[0], rng.IntN(100))
		time.Sleep(long / 2)
		w.start(ids[0])
	case 3:
		if l := w.leader(); l != 0 {
			w.note("%s hands over", l)
			ctx, cancel := context.WithTimeout(context.Background(), long)
			_ = w.node(l).TransferLeadership(ctx, 0)
			cancel()
		}
	}
}

// readsDuringTransfer has a leader that is far away hand over to one of two voters that are close
// together, again and again, and reads on the old one while the new one already commits.
func readsDuringTransfer(t *testing.T, raw bool) *history {
	h := &history{}
	inWorld(t, 3, 3, func(w *world) {
		w.knobs.verifyLeader = raw
		w.wire.setRTT(1, 2, 300*time.Millisecond)
		w.wire.setRTT(1, 3, 220*time.Millisecond)
		w.wire.setRTT(2, 3, 4*time.Millisecond)
	}, func(w *world) {
		w.waitLeader()
		for round := range 12 {
			w.eventually(time.Minute, "the far one leads", func() bool {
				if l := w.leader(); l != 0 && l != 1 {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					_ = w.node(l).TransferLeadership(ctx, 1)
				}
				return w.leader() == 1
			})
			bucket := fmt.Sprint("round-", round)
			stop := make(chan struct{})
			var all sync.WaitGroup
			for client := range 8 {
				all.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Duration(7+5*client) * time.Millisecond):
							h.read(w.node(1), client, bucket, 5*time.Second)
						}
					}
				})
			}
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				_ = w.node(1).TransferLeadership(ctx, 2)
			})
			all.Go(func() {
				for end := time.Now().Add(5 * time.Second); w.leader() != 2 && time.Now().Before(end); {
					v := w.node(2).voter.Load()
					if v != nil && v.isLeader() {
						break
					}
					time.Sleep(time.Millisecond)
				}
				h.write(w.node(2), 9, opCreate, bucket, 5*time.Second)
				time.Sleep(time.Second)
				close(stop)
			})
			all.Wait()
		}
	})
	return h
}

func TestReadsDuringTransfer(t *testing.T) {
	if h := readsDuringTransfer(t, false); !h.check(t) || h.reads < 100 || h.writes < 10 {
		t.Errorf("our own reads during a transfer: linearizable %v with %d reads and %d writes", h.check(t), h.reads, h.writes)
	}
	// Whether a stale answer falls into a round is chance; in ten times twelve rounds it does.
	for range 10 {
		if h := readsDuringTransfer(t, true); !h.check(t) {
			return
		}
	}
	t.Error("reads after raft.VerifyLeader passed: this test would not notice stale reads")
}

// liar is a disk that says it has synced and has not, from the moment when lies is set.
type liar struct {
	vfs.FS
	lies *atomic.Bool
}

type liarFile struct {
	vfs.File
	lies *atomic.Bool
}

func (l liar) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.Create(name, c)
	return liarFile{f, l.lies}, err
}

func (l liar) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.ReuseForWrite(old, name, c)
	return liarFile{f, l.lies}, err
}

func (l liar) OpenDir(name string) (vfs.File, error) {
	f, err := l.FS.OpenDir(name)
	return liarFile{f, l.lies}, err
}

func (f liarFile) Sync() error {
	if f.lies.Load() {
		return nil
	}
	return f.File.Sync()
}

func (f liarFile) SyncData() error { return f.Sync() }

func (f liarFile) SyncTo(n int64) (bool, error) {
	if f.lies.Load() {
		return true, nil
	}
	return f.File.SyncTo(n)
}

// powerCut writes, cuts everybody's power at once, and reads.
func powerCut(t *testing.T, lie bool) *history {
	h := &history{}
	var lies atomic.Bool
	inWorld(t, 3, 3, func(w *world) {
		w.wrapFor = func(_ topo.RouterID, fs vfs.FS) vfs.FS { return liar{fs, &lies} }
	}, func(w *world) {
		w.waitLeader()
		lies.Store(lie)
		for i := range 6 {
			h.write(w.node(topo.RouterID(i%3+1)), 0, opCreate, fmt.Sprint("bucket-", i%3), 10*time.Second)
		}
		w.agree()
		for _, id := range w.ids() {
			w.crash(id, 0)
		}
		lies.Store(false)
		for _, id := range w.ids() {
			w.start(id)
		}
		w.waitLeader()
		for i := range 3 {
			h.read(w.node(topo.RouterID(i%3+1)), 0, fmt.Sprint("bucket-", i), 10*time.Second)
		}
	})
	return h
}

func TestPowerCut(t *testing.T) {
	if h := powerCut(t, false); !h.check(t) || h.reads != 3 || h.writes != 6 {
		t.Errorf("after a power cut: linearizable %v, %d reads, %d writes", h.check(t), h.reads, h.writes)
	}
	if h := powerCut(t, true); h.check(t) {
		t.Error("with disks that lie about their syncs nothing was lost: this test would not notice")
	}
}
