package world

import (
	"context"
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/topo"
)

var seedFlag = flag.Uint64("world.seed", 1, "seed of the faults in tests/world; 0: a new one each time")

// World is a cluster, or what will be one, in one process.
type World struct {
	T    *testing.T
	Net  *fabrictest.Net
	Seed uint64
	// Probe is the time between two probes of a link, for routers that start later. Worlds that let hours
	// pass probe seldom: the real time that a world takes goes mostly into packets.
	Probe time.Duration

	rng *rand.Rand

	changes int // buckets made by change
	notes   *notes
	sites   []*Site // in the order in which they came
	ledger  ledger
	seen    witness
}

// Run builds an empty world in a bubble of its own and tells a story in it.
func Run(t *testing.T, story func(w *World)) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	synctest.Test(t, func(t *testing.T) {
		w := New(t, seed)
		story(w)
		w.Check()
	})
}

// New builds an empty world. It must be called inside a testing/synctest bubble; what it starts ends with
// the test.
func New(t *testing.T, seed uint64) *World {
	t.Helper()
	w := &World{
		T: t, Seed: seed, Net: fabrictest.New(seed), Probe: 200 * time.Millisecond,
		rng: rand.New(rand.NewPCG(seed, 1)), notes: &notes{}, seen: newWitness(),
	}
	w.Net.Tap(w.seen.packet)
	t.Cleanup(w.close)
	return w
}

func (w *World) close() {
	for _, s := range w.sites {
		s.StopControl()
	}
	for _, s := range w.sites {
		s.StopForward()
		s.Admin.Close()
		s.objects.CloseIdleConnections()
	}
	if err := w.Net.Close(); err != nil {
		w.T.Errorf("close the network: %v", err)
	}
	if w.T.Failed() {
		w.T.Logf("the story so far:\n%s", w.notes)
		w.T.Logf("to replay its faults: go test ./tests/world -run '^%s$' -world.seed=%d", w.T.Name(), w.Seed)
	}
}

// Site gives the site in a zone.
func (w *World) Site(z topo.Zone) *Site {
	w.T.Helper()
	i := slices.IndexFunc(w.sites, func(s *Site) bool { return s.Zone == z })
	if i < 0 {
		w.T.Fatalf("there is no site in %s", z)
	}
	return w.sites[i]
}

// Sites are all of them, in the order in which they came.
func (w *World) Sites() []*Site { return slices.Clone(w.sites) }

// Members are the sites whose router belongs to the cluster and whose control half runs.
func (w *World) Members() []*Site {
	return slices.DeleteFunc(w.Sites(), func(s *Site) bool { return s.ID == 0 || s.control == nil || s.Revoked })
}

// Note writes a line of the story, for who reads a failure.
func (w *World) Note(format string, a ...any) { w.notes.add("——— "+format, a...) }

// Step is one sentence of a story: what it does, and that every invariant holds after it.
func (w *World) Step(what string, f func()) {
	w.T.Helper()
	w.Note("%s", what)
	f()
	w.Check()
}

// Until waits, in the world's time, for something that others bring about.
func (w *World) Until(within time.Duration, what string, f func() bool) {
	w.T.Helper()
	if !w.Within(within, f) {
		w.T.Fatalf("after %v still not: %s", within, what)
	}
}

// Within waits for f to hold, and says whether it came to hold in time.
func (w *World) Within(within time.Duration, f func() bool) bool {
	// Questions take real time and waiting takes none, so they are asked ever more seldom.
	pause := 100 * time.Millisecond
	for end := time.Now().Add(within); !f(); time.Sleep(pause) {
		pause = min(pause*5/4, within/20+100*time.Millisecond)
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Pass lets time go by.
func (w *World) Pass(d time.Duration) { time.Sleep(d) }

// ask bounds one call of the admin API.
func ask() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// Found makes the cluster with the router of a zone as its first.
func (w *World) Found(z topo.Zone) *Site {
	w.T.Helper()
	s := w.Open(z)
	ctx, cancel := ask()
	defer cancel()
	r, err := s.Admin.ClusterInit(ctx, admin.ClusterInitRequest{Region: s.Region, Zone: s.Zone, Prefixes: []topo.SegPrefix{s.Prefix}})
	if err != nil {
		w.T.Fatalf("cluster init in %s: %v", z, err)
	}
	s.ID, s.Name = r.Router, r.Name
	w.Note("%s is %s (%s), the first of cluster %s", z, r.Name, r.Router, r.Cluster)
	return s
}

// Join opens a site and lets its router join with a token made by the first member.
func (w *World) Join(zones ...topo.Zone) {
	w.T.Helper()
	for _, z := range zones {
		s := w.Open(z)
		if err := s.Join(w.Token(w.Members()[0], s)); err != nil {
			w.T.Fatalf("join in %s: %v", z, err)
		}
	}
}

// Token has a member make a token for a site.
func (w *World) Token(at, guest *Site) string {
	w.T.Helper()
	ctx, cancel := ask()
	defer cancel()
	r, err := at.Admin.TokenCreate(ctx, admin.TokenCreateRequest{
		Change: admin.Change{Reason: "open " + string(guest.Zone)},
		Region: guest.Region, Zone: guest.Zone, Prefixes: []topo.SegPrefix{guest.Prefix}, TTL: time.Hour,
	})
	if err != nil {
		w.T.Fatalf("token for %s at %s: %v", guest.Zone, at.Zone, err)
	}
	return r.Token
}

// Cut lets nothing pass between two zones.
func (w *World) Cut(a, b topo.Zone) { w.Net.Cut(w.Site(a).addr, w.Site(b).addr) }

// Heal undoes Cut.
func (w *World) Heal(a, b topo.Zone) { w.Net.Heal(w.Site(a).addr, w.Site(b).addr) }

// Isolate cuts a zone from every other; Rejoin undoes it.
func (w *World) Isolate(z topo.Zone) { w.others(z, w.Net.Cut) }

// Rejoin undoes Isolate.
func (w *World) Rejoin(z topo.Zone) { w.others(z, w.Net.Heal) }

func (w *World) others(z topo.Zone, do func(a, b netip.Addr)) {
	me := w.Site(z)
	for _, s := range w.sites {
		if s != me {
			do(me.addr, s.addr)
		}
	}
}
