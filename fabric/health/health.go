// Package health judges one link from the probes that cross it. Both ends send a probe every
// interval; each probe echoes the newest probe of the other end, so that one exchange measures the
// round trip and both directions' loss, and the absence of three is a verdict:
//
//	        first answers                loss over the window
//	Unknown ─────────────► Up ◄──────────────────────────────► Lossy
//	   │                    │  three intervals without a probe,    │
//	   │                    │  or three in which the peer          │
//	   ▼                    ▼  heard none of ours                  ▼
//	  Down ◄───────────────────────────────────────────────────────┘
//	   └── UpAfter good probes in a row (more after each flap) ──► Up
//
// Detection is asynchronous, like BFD (RFC 5880, section 6.8.4): silence is noticed after Miss intervals
// whatever the round trip; the sender of a one-way failure learns of it half a round trip later,
// from the echo that stops.
//
// Some probes of the first ten, and every FullEvery-th later, are as large as a datagram of the data path
// may be. Full-size probes that are lost while small ones arrive mean a path that swallows large packets
// without an ICMP answer (a black hole): the link stays up with a smaller MTU. The receiver judges,
// because it alone sees what arrives, and its verdict reaches the sender in the link-state. Full-size
// probes count for nothing else, so that a black hole is not mistaken for loss.
//
// The package is pure: the time is handed in, and what changed is handed out as events.
package health

import (
	"fmt"
	"log/slog"
	"time"
)

// State is the verdict on a link.
type State uint8

// The states; only Up and Lossy carry traffic.
const (
	Unknown State = iota // nothing heard yet
	Up
	Lossy // usable, but more is lost than EnterLossPPM
	Down
)

var stateNames = [...]string{"unknown", "up", "lossy", "down"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state-%d", uint8(s))
}

// Usable says whether packets may be sent over a link in this state.
func (s State) Usable() bool { return s == Up || s == Lossy }

// Config sets how fast and how sure the judgement is. The zero value of a field means its default.
type Config struct {
	Interval  time.Duration // between two probes of one end; 50 ms
	Miss      int           // intervals of silence that mean Down; 3
	UpAfter   int           // good probes in a row from Down to Up; 10, doubled by each recent flap up to 16 times
	FullEvery uint64        // every FullEvery-th probe is full size, at least 2; 20
	FullSize  int           // bytes of a full-size datagram: what the data path wants to send; 1400
	SmallSize int           // bytes that a link is trusted with when full size is swallowed; 1280

	EnterLossPPM uint32 // lost of a million that turn Up into Lossy; 20,000 (2 %)
	LeaveLossPPM uint32 // lost of a million under which Lossy is Up again; 5,000 (0.5 %)
}

func (c Config) withDefaults() Config {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	if c.Interval <= 0 {
		c.Interval = 50 * time.Millisecond
	}
	def(&c.Miss, 3)
	def(&c.UpAfter, 10)
	def(&c.FullSize, 1400)
	def(&c.SmallSize, 1280)
	if c.FullEvery < 2 { // at 1 there would be no small probes to judge by
		c.FullEvery = 20
	}
	if c.EnterLossPPM == 0 {
		c.EnterLossPPM = 20_000
	}
	if c.LeaveLossPPM == 0 {
		c.LeaveLossPPM = 5_000
	}
	return c
}

// Sample is what one received probe says.
type Sample struct {
	Seq      uint64        // the peer's number for it; counts up by one from 1
	Size     int           // bytes of the datagram as it arrived
	EchoSeq  uint64        // the newest of our probes that the peer had seen; 0 is none
	Hold     time.Duration // from the peer seeing EchoSeq to the peer sending this
	Received uint64        // how many of our probes, without the full-size ones, the peer has received
}

// Echo is what our next probe tells the peer; it arrives there as part of a Sample.
type Echo struct {
	Seq      uint64    // the newest probe heard; 0 is none
	At       time.Time // when it arrived; the probe carries the time since
	Received uint64    // probes heard, without the full-size ones
}

// Status is what is known of a link. Losses are of a million, over the last window of probes.
type Status struct {
	State   State
	Why     string        // the reason for State, for people
	Since   time.Time     // when State was entered
	RTT     time.Duration // smoothed; 0 until measured
	RTTVar  time.Duration // mean deviation of the round trip
	MinRTT  time.Duration
	LossIn  uint32 // of what the peer sent
	LossOut uint32 // of what we sent
	MTU     int    // bytes of a datagram that arrive: FullSize, or SmallSize behind a black hole; 0 until judged
	Flaps   int    // recent passages to Down, forgotten one per minute of calm
}

// Event is a change of the verdict.
type Event struct {
	At       time.Time
	Kind     Kind
	From, To State // for StateChanged
	Why      string
	MTU      int // for MTUChanged
}

// Kind says what an Event is about.
type Kind uint8

// The kinds.
const (
	StateChanged Kind = iota
	MTUChanged
)

// Name identifies the event for logs and metrics.
func (e Event) Name() string {
	if e.Kind == MTUChanged {
		return "link-mtu"
	}
	return "link-" + e.To.String()
}

// LogValue gives the event's fields.
func (e Event) LogValue() slog.Value {
	if e.Kind == MTUChanged {
		return slog.GroupValue(slog.Int("mtu", e.MTU), slog.String("why", e.Why))
	}
	return slog.GroupValue(slog.String("from", e.From.String()), slog.String("to", e.To.String()), slog.String("why", e.Why))
}

func (e Event) String() string {
	if e.Kind == MTUChanged {
		return fmt.Sprintf("mtu %d: %s", e.MTU, e.Why)
	}
	return fmt.Sprintf("%s -> %s: %s", e.From, e.To, e.Why)
}
