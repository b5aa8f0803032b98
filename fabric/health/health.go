// Package health judges one link from the probes that cross it: whether it carries, by which of its lanes,
// and how large a datagram may be. Both ends send a probe every interval; each probe echoes the newest probe
// of the other end and, as a bitmap, says which of those before it arrived. So each end knows the fate of each
// of its own probes and judges its own direction; the absence of all is a verdict:
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
// # One stream, several lanes
//
// A lane is one source port of ours toward the peer's port: one five-tuple of the network, which may be
// policed, hashed onto a broken member of a trunk, or filtered, alone. The lanes in use take turns in the one
// stream, so that four cost what one does. What is asked besides goes as a second probe in a slot, never
// instead of the first, because it may be lost for reasons of its own and the verdict on the link must not
// hang on it:
//
//	slot      0    50   100   150   200   250 ms ...
//	stream    l0   l1   l2    l3    l0    l1          short, by the lanes in use
//	besides   MTU  ·    MTU   l2?   l2?   ·           sizes (package pmtu); lanes in doubt or left
//
// A lane in use is left when it loses what chance would not let it lose, given what the others lose. That
// is one rule for a dead lane (three in a row) and for a lossy one (five of a hundred), and for a link on
// which all lanes lose alike it gives no reason to move anything. A lane that was left is asked now and
// then, and is used again after a row of arrivals that doubles with each time it was left lately. Flows move
// only when their lane is left, or comes back.
//
// # Old peers
//
// A peer that sends no reports gets one lane and the probes that it expects: every eighth is of full size,
// and the receiver judges what it sees (old.go).
//
// The package is pure: the time is handed in, and what changed is handed out as events.
package health

import (
	"fmt"
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

// MaxLanes bounds the lanes of a link.
const MaxLanes = 16

// Config sets how fast and how sure the judgement is. The zero value of a field means its default.
type Config struct {
	Interval time.Duration // between two probes of one end; 50 ms
	Miss     int           // intervals of silence that mean Down; 3
	UpAfter  int           // good probes in a row from Down to Up; 10, doubled by each recent flap up to 16 times

	EnterLossPPM uint32 // lost of a million that turn Up into Lossy; 30,000 (3 %)
	LeaveLossPPM uint32 // lost of a million under which Lossy is Up again; 5,000 (0.5 %)

	Reports bool   // the peer sends reports and understands ours
	Lanes   int    // source ports that we may send from; 1, and always 1 without Reports
	First   uint64 // number of our first probe; 1

	Base, Usual, Max int // datagram sizes, as package pmtu has them; 1328, 1448, 1448
	Head             int // octets of IP and UDP header; 28
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
	def(&c.Lanes, 1)
	def(&c.Base, 1328)
	def(&c.Max, 1448)
	def(&c.Usual, 1448)
	def(&c.Head, 28)
	c.First = max(c.First, 1)
	c.Base = min(c.Base, c.Max)
	if c.Lanes = min(c.Lanes, MaxLanes); !c.Reports {
		c.Lanes = 1
	}
	if c.EnterLossPPM == 0 {
		c.EnterLossPPM = 30_000
	}
	if c.LeaveLossPPM == 0 {
		c.LeaveLossPPM = 5_000
	}
	return c
}

// Probe is one that is to be sent now.
type Probe struct {
	Seq  uint64
	Lane uint8
	Size int // octets of the datagram; 0 is as short as possible
}

// Sample is what one received probe says.
type Sample struct {
	Seq      uint64        // the peer's number for it; counts up from 1
	Size     int           // octets of the datagram as it arrived
	EchoSeq  uint64        // the newest of our probes that the peer had seen; 0 is none
	Hold     time.Duration // from the peer seeing EchoSeq to the peer sending this
	Received uint64        // how many of our probes the peer has received; from an old peer without the full-size ones
	Report   Report        // looked at when Config.Reports
}

// Report is what one end tells the other of what it knows.
type Report struct {
	Heard   uint64 // bit i: the receiver's probe EchoSeq-i arrived
	LossPPM uint32 // of the sender's probes to the receiver
	MTU     int    // largest datagram that the sender sends
	Lanes   uint16 // bit i: the sender uses its lane i
}

// Echo is what our next probe tells the peer; it arrives there as part of a Sample.
type Echo struct {
	Seq      uint64    // the newest probe heard; 0 is none
	At       time.Time // when it arrived; the probe carries the time since
	Received uint64    // probes heard
	Report   Report    // zero without Config.Reports
}

// Status is what is known of a link. Losses are of a million, over the last 13 s or, where it is certain that
// they rose, over less; they and the round trip are those of the lanes in use.
type Status struct {
	State   State
	Why     string        // the reason for State, for people
	Since   time.Time     // when State was entered
	RTT     time.Duration // smoothed; 0 until measured
	RTTVar  time.Duration // mean deviation of the round trip
	MinRTT  time.Duration
	LossIn  uint32 // of what the peer sent: the peer's own word
	LossOut uint32 // of what we sent
	MTU     int    // octets of a datagram that we may send; of an old peer: that arrive from it, 0 until judged
	MTUIn   int    // octets of a datagram that the peer may send; 0 is not told
	LanesIn uint16 // bit i: the peer sends by its lane i
	Flaps   int    // recent passages to Down, forgotten one per minute of calm
}
