package world

import (
	"fmt"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// TestChaos lets a seed choose what breaks, for a while, and then mends everything: the world must come
// to rest with every acknowledged object everywhere. At most two things are broken at a time, so that a
// majority of the voters can always find each other, sooner or later.
func TestChaos(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		hangzhou := w.Found(Hangzhou)
		w.Join(Singapore, Tokyo, Frankfurt, Queretaro)
		w.voters(5)
		w.Key(hangzhou)
		bucket(w, hangzhou, "models", object.AckLocal)
		w.Agree()
		w.Known()
		c := chaos{w: w}
		for round := range 25 {
			c.round(round)
		}
		c.mend(0)
		w.Step("everything works again", func() {
			w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt, Queretaro)
			w.Agree()
			for _, s := range w.Members() {
				w.Replicated(s, 5*minute)
			}
		})
	})
}

// chaos breaks things and knows how to mend them.
type chaos struct {
	w      *World
	broken []wound
	puts   int
}

type wound struct {
	what string
	mend func()
}

const maxBroken = 2

// round breaks or mends something, lets some time pass, and writes wherever there is somebody to write to.
func (c *chaos) round(n int) {
	w := c.w
	w.T.Helper()
	if len(c.broken) == maxBroken || len(c.broken) > 0 && w.rng.IntN(3) == 0 {
		c.mend(len(c.broken) - 1)
	} else {
		c.hurt()
	}
	w.Step(fmt.Sprintf("round %d", n), func() {
		w.Pass(time.Duration(w.rng.IntN(8000)) * time.Millisecond)
		for _, s := range w.Members() {
			c.puts++
			// A refusal or a timeout is no promise broken; what is acknowledged must be kept.
			if err := w.Put(s, fmt.Sprintf("models/%04d", c.puts), w.Body(w.rng.IntN(200_000))); err != nil {
				w.Note("%v", err)
			}
		}
	})
}

// mend mends what is broken down to so many wounds.
func (c *chaos) mend(left int) {
	for len(c.broken) > max(left, 0) {
		last := c.broken[len(c.broken)-1]
		c.broken = c.broken[:len(c.broken)-1]
		c.w.Note("mend: %s", last.what)
		last.mend()
	}
}

func (c *chaos) hurt() {
	w := c.w
	a, b := c.pick(), c.pick()
	s := w.Site(a)
	wounds := []func() *wound{
		func() *wound {
			if a == b {
				return nil
			}
			w.Cut(a, b)
			return &wound{fmt.Sprintf("%s and %s are cut", a, b), func() { w.Heal(a, b) }}
		},
		func() *wound {
			w.Isolate(a)
			return &wound{fmt.Sprintf("%s is cut off", a), func() { w.Rejoin(a) }}
		},
		func() *wound {
			if a == b {
				return nil
			}
			w.Net.Set(s.addr, w.Site(b).addr, func(p *path) { p.LossPPM = 200_000 })
			return &wound{fmt.Sprintf("from %s to %s a fifth is lost", a, b), func() {
				w.Net.Set(s.addr, w.Site(b).addr, func(p *path) { p.LossPPM = 0 })
			}}
		},
		func() *wound {
			if s.control == nil {
				return nil
			}
			s.CrashControl()
			return &wound{fmt.Sprintf("control of %s is dead", a), s.StartControl}
		},
		func() *wound {
			if s.forward == nil {
				return nil
			}
			s.CrashForward()
			return &wound{fmt.Sprintf("forward of %s is dead", a), s.StartForward}
		},
	}
	if hurt := wounds[w.rng.IntN(len(wounds))](); hurt != nil {
		w.Note("break: %s", hurt.what)
		c.broken = append(c.broken, *hurt)
	}
}

func (c *chaos) pick() topo.Zone { return c.w.sites[c.w.rng.IntN(len(c.w.sites))].Zone }
