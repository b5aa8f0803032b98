package tunnel

import "time"

// The ALPNs of Galleon's fabric port. A change to a protocol that old peers cannot follow gets a new number.
const (
	ALPNPair    = "galleon-pair/1"  // forward to forward: a pair's keys and link-state
	ALPNRaft    = "galleon-raft/1"  // control: Raft between voters
	ALPNControl = "galleon-ctl/1"   // control: requests, reads, watches
	ALPNAdmin   = "galleon-admin/1" // control: the admin API between routers
	ALPNRepl    = "galleon-repl/1"  // control: replication
	ALPNJoin    = "galleon-join/1"  // control: a router without a certificate yet
)

// Limits bound what one session may cost its receiver. Windows are bytes, and are what the receiver may have to hold
// when its reader stalls.
type Limits struct {
	Streams       int64 // streams that the peer may have open at once; one more is reset on sight
	StreamWindow  int64 // most for one stream
	SessionWindow int64 // most for all streams of a session together
	// First is the window that a session begins with which we dial, 0 for the usual one: who dials for bulk
	// data says so, and need not double its window at each round trip until it fills an ocean.
	First int64
}

// Limits by ALPN. Bulk: 32 MiB is 1 Gbit/s at 270 ms.
var (
	controlLimits = Limits{Streams: 32, StreamWindow: 1 << 20, SessionWindow: 2 << 20}
	raftLimits    = Limits{Streams: 16, StreamWindow: 4 << 20, SessionWindow: 8 << 20}
	bulkLimits    = Limits{Streams: 256, StreamWindow: 32 << 20, SessionWindow: 64 << 20}
	replLimits    = Limits{Streams: 256, StreamWindow: 32 << 20, SessionWindow: 64 << 20, First: 8 << 20}
)

// DefaultLimits returns the limits of an ALPN when Config.Limits does not name it.
func DefaultLimits(alpn string) Limits {
	switch alpn {
	case ALPNRaft:
		return raftLimits
	case ALPNRepl:
		return replLimits
	case ALPNAdmin:
		return bulkLimits
	default:
		return controlLimits
	}
}

const (
	// initialStreamWindow and initialSessionWindow are what a connection starts with, before it has shown that it
	// reads fast. quic-go takes them before it knows the ALPN, so they are the same for all.
	initialStreamWindow  = 64 << 10
	initialSessionWindow = 128 << 10

	// DefaultReceiveBudget is what all receive windows of an endpoint may add up to. At three quarters of it windows
	// stop growing; when the rest is used up too, by the first windows of new connections, those are refused.
	DefaultReceiveBudget = 256 << 20

	// DefaultMaxSessions is how many sessions an endpoint holds; one more is refused.
	DefaultMaxSessions = 4096
	// maxSessionsPerPeer is how many sessions one peer may have under one ALPN, in each direction; one more closes
	// the oldest, which a peer that came back without its memory no longer knows.
	maxSessionsPerPeer = 4
)

// Times. QUIC counts idleTimeout from the first packet that was sent after the last that came, so a session with a dead
// peer ends within idleTimeout and keepAlive; a Pool looks for another way before that, see silence.
const (
	idleTimeout      = 12 * time.Second
	keepAlive        = 3 * time.Second
	handshakeTimeout = 3 * time.Second // without a packet; twice that in all
	welcomeTimeout   = 3 * time.Second
	recheckPeriod    = 30 * time.Second // for certificates that end while their session lives
)
