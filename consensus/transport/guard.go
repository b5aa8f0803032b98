package transport

import (
	"fmt"
	"math"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Guard looks at a call before Raft does. An error refuses the call and closes the stream.
type Guard interface {
	Admit(from topo.RouterID, call any) error
}

// MaxTermJump is how far ahead of our own term a call's may be. Elections come no faster than about one
// a second, so a router that was away for ten days still understands the others, while 2^64 is never
// reached by leaps.
const MaxTermJump = 1 << 20

// maxIndex leaves room for whatever Raft adds to an index.
const maxIndex = math.MaxUint64 / 2

// Rules is the Guard that stands in front of Raft.
type Rules struct {
	// Term is our own current term.
	Term func() uint64
	// Member says whether a router may take part: the catalog or Raft's own configuration has it.
	Member func(topo.RouterID) bool
}

// Admit refuses what no honest member sends.
func (g Rules) Admit(from topo.RouterID, call any) error {
	if !g.Member(from) {
		return fmt.Errorf("router %s is not a voter here", from)
	}
	h := call.(raft.WithRPCHeader).GetRPCHeader()
	if router, _, err := ParseServerID(raft.ServerID(h.ID)); err != nil || router != from {
		return fmt.Errorf("router %s calls itself %.40q", from, h.ID)
	}
	switch c := call.(type) {
	case *raft.AppendEntriesRequest:
		return g.admitAppend(c)
	case *raft.RequestVoteRequest:
		return g.admitTerm(c.Term, c.LastLogTerm, c.LastLogIndex)
	case *raft.RequestPreVoteRequest:
		return g.admitTerm(c.Term, c.LastLogTerm, c.LastLogIndex)
	case *raft.InstallSnapshotRequest:
		return g.admitSnapshot(c)
	case *raft.TimeoutNowRequest:
		return nil
	}
	return fmt.Errorf("call %T is not known", call)
}

// admitTerm checks a term, and the last entry's that it comes with: nobody has entries of a later term.
func (g Rules) admitTerm(term, logTerm, index uint64) error {
	own := g.Term()
	if term > own && term-own > MaxTermJump {
		return fmt.Errorf("term %d is more than %d ahead of ours, %d", term, MaxTermJump, own)
	}
	if logTerm > term || index > maxIndex {
		return fmt.Errorf("last entry %d of term %d in a call of term %d", index, logTerm, term)
	}
	return nil
}

func (g Rules) admitAppend(c *raft.AppendEntriesRequest) error {
	if err := g.admitTerm(c.Term, c.PrevLogTerm, c.PrevLogEntry); err != nil {
		return err
	}
	if c.LeaderCommitIndex > maxIndex {
		return fmt.Errorf("commit index %d is out of reach", c.LeaderCommitIndex)
	}
	index, term := c.PrevLogEntry, c.PrevLogTerm
	for _, l := range c.Entries {
		if l.Index != index+1 || l.Term < term || l.Term > c.Term {
			return fmt.Errorf("entry %d of term %d after entry %d of term %d in a call of term %d", l.Index, l.Term, index, term, c.Term)
		}
		index, term = l.Index, l.Term
		switch l.Type {
		case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
		case raft.LogConfiguration:
			if err := checkConfiguration(l.Data); err != nil {
				return fmt.Errorf("entry %d: %w", l.Index, err)
			}
		default:
			return fmt.Errorf("entry %d has type %d, which Raft would panic on", l.Index, l.Type)
		}
	}
	return nil
}

func (g Rules) admitSnapshot(c *raft.InstallSnapshotRequest) error {
	if err := g.admitTerm(c.Term, c.LastLogTerm, c.LastLogIndex); err != nil {
		return err
	}
	if c.SnapshotVersion != raft.SnapshotVersionMax || c.Size < 0 || c.Size > MaxSnapshot || c.ConfigurationIndex > c.LastLogIndex {
		return fmt.Errorf("snapshot of version %d, %d bytes (at most %d), with the configuration of %d at %d",
			c.SnapshotVersion, c.Size, int64(MaxSnapshot), c.ConfigurationIndex, c.LastLogIndex)
	}
	return checkConfiguration(c.Configuration)
}

// maxServers bounds a Raft configuration: five voters and one more server of each, on its way in or out.
const maxServers = 16

// checkConfiguration refuses a configuration that Raft could not decode (it panics) or could not work
// with.
func checkConfiguration(b []byte) (err error) {
	if len(b) > MaxConfiguration {
		return fmt.Errorf("configuration of %d bytes: at most %d", len(b), MaxConfiguration)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("configuration does not decode: %v", p)
		}
	}()
	conf := raft.DecodeConfiguration(b)
	if len(conf.Servers) > maxServers {
		return fmt.Errorf("configuration of %d servers: at most %d", len(conf.Servers), maxServers)
	}
	voters, seen := 0, map[topo.RouterID]bool{}
	for _, s := range conf.Servers {
		r, _, err := ParseServerID(s.ID)
		switch {
		case err != nil:
			return fmt.Errorf("configuration: %w", err)
		case s.Address != Address(r) || seen[r] || s.Suffrage != raft.Voter && s.Suffrage != raft.Nonvoter:
			return fmt.Errorf("configuration: server %s at %.40q with suffrage %d, or twice", s.ID, s.Address, s.Suffrage)
		}
		seen[r] = true
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	if voters == 0 {
		return fmt.Errorf("configuration without a voter")
	}
	return nil
}
