package fabric

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhoDialsAndWhen(t *testing.T) {
	t0 := time.Unix(1_800_000_000, 0)
	up := conditions{dialable: true}
	tests := []struct {
		name  string
		self  pairing
		cond  conditions
		kind  kind
		want  time.Duration // when it dials; -1 is never
		after func(*pairing)
	}{
		{name: "lower at once", self: pairing{self: 1, peer: 2}, cond: up, want: 0},
		{name: "higher later", self: pairing{self: 2, peer: 1}, cond: up, want: higherWaits},
		{name: "higher, hurried", self: pairing{self: 2, peer: 1, hurried: true}, cond: up, want: 0},
		{name: "no endpoint", self: pairing{self: 1, peer: 2}, want: -1},
		{name: "has one", self: pairing{self: 1, peer: 2, held: [kinds]*holding{{}, nil}}, cond: up, want: -1},
		{name: "link down", self: pairing{self: 1, peer: 2, held: [kinds]*holding{{}, nil}},
			cond: conditions{dialable: true, linkDown: true}, want: 0},
		{name: "carried needs a relay", self: pairing{self: 1, peer: 2}, cond: up, kind: carried, want: -1},
		{name: "carried after the direct try", self: pairing{self: 1, peer: 2}, cond: conditions{way: true}, kind: carried, want: carryAfter},
		{name: "carried, higher", self: pairing{self: 2, peer: 1}, cond: conditions{way: true}, kind: carried, want: carryAfter + higherWaits},
		{name: "carried while direct works", self: pairing{self: 1, peer: 2, held: [kinds]*holding{{}, nil}},
			cond: conditions{way: true}, kind: carried, want: -1},
		{name: "new keys by who made the last", self: pairing{self: 2, peer: 1, held: [kinds]*holding{{}, nil}},
			cond: conditions{dialable: true, rekey: true, newest: true}, want: 0},
		{name: "new keys by the other", self: pairing{self: 1, peer: 2, held: [kinds]*holding{{}, nil}},
			cond: conditions{dialable: true, rekey: true}, want: rekeyWaits},
		{name: "new keys over the carried session", self: pairing{self: 1, peer: 2, held: [kinds]*holding{nil, {}}},
			cond: conditions{way: true, rekey: true, newest: true}, kind: carried, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, got := tt.self, time.Duration(-1)
			for d := time.Duration(0); d < time.Minute; d += 100 * time.Millisecond {
				if p.wants(tt.kind, t0.Add(d), tt.cond) {
					got = d
					break
				}
			}
			if got != tt.want {
				t.Errorf("dials after %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	p := pairing{self: 1, peer: 2}
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	want := backoffMin
	for i := range 20 {
		p.begin(direct)
		got := p.finish(direct, now, errors.New("no answer"), rng)
		if got < want/2 || got > want {
			t.Errorf("failure %d: waits %v, want %v to %v", i+1, got, want/2, want)
		}
		want = min(2*want, backoffMax)
	}
	p.begin(direct)
	if got := p.finish(direct, now, nil, rng); got > backoffMin {
		t.Errorf("waits %v after a success", got)
	}
}

func TestTwins(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	young := now.Add(-time.Second)
	tests := []struct {
		name   string
		held   *holding
		dialed bool // the new one, by us
		life   uint64
		cond   conditions
		want   error
	}{
		{"nothing there", nil, false, 7, conditions{}, nil},
		{"ours is the lower's", &holding{dialed: true, life: 7, since: young}, false, 7, conditions{}, errTwin},
		{"the lower's replaces", &holding{dialed: false, life: 7, since: young}, true, 7, conditions{}, nil},
		{"a newer one of the same end", &holding{dialed: true, life: 7, since: young}, true, 7, conditions{}, nil},
		{"the peer restarted", &holding{dialed: true, life: 7, since: young}, false, 8, conditions{}, nil},
		{"the link is down", &holding{dialed: true, life: 7, since: young}, false, 7, conditions{linkDown: true}, nil},
		{"no accident", &holding{dialed: true, life: 7, since: now.Add(-settleFor)}, false, 7, conditions{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pairing{self: 1, peer: 2}
			p.held[direct] = tt.held
			if got := p.admit(direct, tt.dialed, tt.life, now, tt.cond); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever both ends do, at the same time, in both kinds, with restarts, no epoch is used twice within
// what a keyring holds, and the accepting end never goes back.
func TestEpochsNeverMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low, high := pairing{self: 1, peer: 2}, pairing{self: 2, peer: 1}
		low.epoch = rapid.Uint16().Draw(t, "start")
		high.epoch = low.epoch
		var recent []uint16
		type offer struct {
			byLow bool
			epoch uint16
		}
		var flying []offer
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				flying = append(flying, offer{true, low.begin(direct)})
			case 1:
				flying = append(flying, offer{false, high.begin(carried)})
			case 4:
				if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
					high.epoch, flying = 0, nil // forgets everything
				}
			default:
				if len(flying) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
				o := flying[i]
				flying = append(flying[:i], flying[i+1:]...)
				dialer, acceptor := &high, &low
				if o.byLow {
					dialer, acceptor = &low, &high
				}
				e := acceptor.agree(o.epoch)
				dialer.noticed(e)
				if e == 0 || odd(e) != o.byLow {
					t.Fatalf("epoch %d for a session that the lower dialed=%v", e, o.byLow)
				}
				for _, r := range recent {
					if r == e {
						t.Fatalf("epoch %d agreed twice", e)
					}
				}
				if recent = append(recent, e); len(recent) > 4 {
					recent = recent[1:]
				}
			}
		}
	})
}

// TestSessionsOverADownLinkTakeTurns has a link whose probes fail while handshakes get through, as on a
// machine that is too busy to answer in time: a session is not replaced before it has had its time.
func TestSessionsOverADownLinkTakeTurns(t *testing.T) {
	p := pairing{self: 1, peer: 2}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	down := conditions{dialable: true, linkDown: true}
	dials := 0
	for range 600 { // a minute
		if p.wants(direct, now, down) {
			dials++
			epoch := p.begin(direct)
			p.finish(direct, now, nil, rand.New(rand.NewPCG(1, 2)))
			p.ready(direct, holding{epoch: epoch, dialed: true, life: 1, since: now})
		}
		now = now.Add(100 * time.Millisecond)
	}
	if dials < 2 || dials > 7 {
		t.Errorf("%d sessions in a minute, want one about every %s", dials, settleFor)
	}
}
