package world

import (
	"fmt"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/replication/object"
)

// TestForwardingOutlivesControl kills the half with the disk again and again while objects are written and
// replicated: packets go on, and nothing that was acknowledged is lost.
func TestForwardingOutlivesControl(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		hangzhou := w.Found(Hangzhou)
		w.Join(Singapore, Queretaro)
		queretaro := w.Site(Queretaro)
		w.Connected(Hangzhou, Singapore, Queretaro)
		w.Key(hangzhou)
		bucket(w, hangzhou, "models", object.AckLocal)
		w.Agree()
		for round := range 4 {
			victim := []*Site{hangzhou, queretaro}[round%2]
			w.Step(fmt.Sprintf("control of %s dies in the middle of replication", victim.Zone), func() {
				put(w, hangzhou, fmt.Sprintf("models/round%d", round), 15)
				w.Pass(time.Duration(w.rng.IntN(300)) * time.Millisecond)
				victim.CrashControl()
			})
			w.Step("packets go on without it", func() {
				for range 20 {
					for _, pair := range [][2]*Site{{hangzhou, queretaro}, {queretaro, hangzhou}} {
						if w.Send(pair[0], pair[1]) == 0 {
							t.Errorf("a packet from %s to %s was lost", pair[0].Zone, pair[1].Zone)
						}
					}
				}
			})
			w.Step("it comes back with all that it acknowledged, and catches up", func() {
				victim.StartControl()
				w.Agree()
				w.Replicated(queretaro, 2*minute)
			})
		}
	})
}

// TestForwardComesBack kills the half that carries packets: control configures its successor, and the
// kernel's routes were there all the time.
func TestForwardComesBack(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		hangzhou := w.Found(Hangzhou)
		w.Join(Tokyo, Queretaro)
		queretaro := w.Site(Queretaro)
		w.Connected(Hangzhou, Tokyo, Queretaro)
		w.Agree()
		w.Step("forward of Querétaro dies; its routes stay", func() {
			queretaro.CrashForward()
			w.Pass(2 * time.Second)
			if !queretaro.Routed(hangzhou.Prefix) {
				t.Error("the route to Hangzhou went with the process")
			}
			if d := w.Send(hangzhou, queretaro); d != 0 {
				t.Errorf("a packet went through a dead process in %v", d)
			}
			st, err := queretaro.Status()
			if err != nil || st.Forward == "up" {
				t.Errorf("control says of a dead forward half: %q, %v", st.Forward, err)
			}
		})
		w.Step("its successor is configured and carries packets", func() {
			queretaro.StartForward()
			w.Connected(Hangzhou, Tokyo, Queretaro)
		})
		w.Step("both halves die, and both come back without a word from anybody", func() {
			queretaro.CrashForward()
			queretaro.CrashControl()
			w.Pass(minute)
			queretaro.StartControl()
			queretaro.StartForward()
			w.Connected(Hangzhou, Tokyo, Queretaro)
			w.Agree()
		})
	})
}

// TestTheLeaderDies kills the leader of five voters: another leads, the catalog goes on, and the dead one
// comes back as one of many.
func TestTheLeaderDies(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		w.Found(Hangzhou)
		w.Join(Singapore, Tokyo, Frankfurt, Queretaro)
		w.Step("five regions have five voters", func() { w.voters(5) })
		w.Agree()
		for range 2 {
			old := w.Leader()
			w.Step("the leader "+old.Name+" dies, and another leads", func() {
				old.CrashControl()
				w.Until(minute, "another router leads", func() bool { l := w.leader(); return l != nil && l != old })
				w.change(w.Leader())
				for _, s := range w.Members() {
					w.change(s)
				}
			})
			w.Step("the old one comes back and follows", func() {
				old.StartControl()
				w.Agree()
				w.change(old)
			})
		}
		w.Step("the leader is cut off: it leads nobody", func() {
			old := w.Leader()
			w.Isolate(old.Zone)
			w.Until(minute, "another router leads", func() bool { l := w.leader(); return l != nil && l != old })
			w.change(w.Leader())
			w.Rejoin(old.Zone)
			w.Agree()
			w.change(old)
		})
	})
}

// voters waits until the cluster has so many voters.
func (w *World) voters(n int) {
	w.T.Helper()
	w.Until(10*minute, fmt.Sprintf("there are %d voters", n), func() bool {
		have := 0
		st, err := w.Members()[0].Status()
		for _, m := range st.Members {
			if m.Role == "voter" || m.Role == "leader" {
				have++
			}
		}
		return err == nil && have == n
	})
}

// leader is the site whose router leads with the highest term, nil for none.
func (w *World) leader() *Site {
	var best *Site
	var term uint64
	for _, s := range w.Members() {
		if st, err := s.Status(); err == nil && st.Role == "leader" && st.Term > term {
			best, term = s, st.Term
		}
	}
	return best
}

// Leader waits for a leader.
func (w *World) Leader() *Site {
	w.T.Helper()
	w.Until(minute, "some router leads", func() bool { return w.leader() != nil })
	return w.leader()
}

// change makes a change of the catalog through a router, and fails the test when it is not made.
func (w *World) change(at *Site) {
	w.T.Helper()
	w.changes++
	ctx, cancel := ask()
	defer cancel()
	name := fmt.Sprintf("bucket-%d", w.changes)
	if _, err := at.Admin.BucketCreate(ctx, admin.BucketCreateRequest{Name: name}); err != nil {
		w.T.Errorf("make %s through %s: %v", name, at.Name, err)
	}
}
