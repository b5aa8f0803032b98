package consensus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

// ALPNs of the two kinds of stream.
const (
	ALPNRaft    = "galleon-raft/1"
	ALPNRequest = "galleon-ctl/1"
)

// What callers must tell apart.
var (
	// ErrUnknownOutcome says that a command may or may not be carried out yet. Asking again with the
	// same key finds out.
	ErrUnknownOutcome = errors.New("the outcome is not known")
	// ErrNoLeader says that no voter took the request in time; nothing was changed.
	ErrNoLeader = errors.New("no leader answered")
	// ErrTooStale says that this router has not heard from the voters lately enough.
	ErrTooStale = errors.New("the state here is older than asked for")
	// ErrNotVoter says that only a voter can do this.
	ErrNotVoter = errors.New("this router is not a voter")
)

// Dial opens a stream to a router, which has proved with its certificate that it is that one.
type Dial func(ctx context.Context, to topo.RouterID) (net.Conn, error)

// Config is what a node is given.
type Config struct {
	Self topo.RouterID
	// Cluster is the cluster's id. Snapshots and files of another cluster are refused.
	Cluster string
	// Dir holds everything the node keeps; FS is the file system, nil for the disk.
	Dir string
	FS  vfs.FS
	// Rand gives disk names and idempotency keys; nil is crypto/rand.
	Rand io.Reader
	// Emit is told what happens; nil drops it. It must not block.
	Emit func(Event)

	// DialRaft and DialRequest open streams of ALPNRaft and ALPNRequest.
	DialRaft, DialRequest Dial
	// RTT is the measured round-trip time to a router, 0 when there is none.
	RTT func(topo.RouterID) time.Duration
	// Seeds are routers to ask while the state names nobody: those of the join token.
	Seeds func() []topo.RouterID
	// Authorise decides, on the leader, whether a router may propose a command. From is what its
	// certificate says. Nil lets every live router of the catalog propose.
	Authorise func(from topo.RouterID, c state.Command) error
	// PinVoters keeps the leader from choosing the voters by itself: SetMembers alone does.
	PinVoters bool

	// Fatal ends the process: the disk failed or hangs, or a transfer of leadership is stuck. Raft
	// must not go on after that.
	Fatal func(error)

	test testKnobs
}

// testKnobs take a safety away, so that tests can prove that they would notice.
type testKnobs struct {
	// verifyLeader answers reads after raft.VerifyLeader alone.
	verifyLeader bool
	// guard stands in for the guard in front of Raft.
	guard transport.Guard
}

func (c *Config) fill() error {
	switch {
	case c.Self == 0:
		return errors.New("consensus: no router number")
	case c.Cluster == "" || len(c.Cluster) > maxClusterID:
		return fmt.Errorf("consensus: cluster id %q: want 1 to %d characters", c.Cluster, maxClusterID)
	case c.DialRaft == nil || c.DialRequest == nil || c.Fatal == nil:
		return errors.New("consensus: DialRaft, DialRequest and Fatal must be given")
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Emit == nil {
		c.Emit = func(Event) {}
	}
	if c.RTT == nil {
		c.RTT = func(topo.RouterID) time.Duration { return 0 }
	}
	if c.Seeds == nil {
		c.Seeds = func() []topo.RouterID { return nil }
	}
	return nil
}

// maxClusterID bounds the cluster's id in bytes.
const maxClusterID = 255
