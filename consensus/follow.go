package consensus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	followFirstPause = 200 * time.Millisecond
	followMostPause  = 5 * time.Second
	// orphanedAfter is how long a voter hears from no leader before it follows others as well: it may
	// have been removed, which nobody tells it.
	orphanedAfter = 15 * time.Second
)

// follow keeps a watcher's state up to date from the nearest voter that answers, and a voter's while its
// own log does not.
func (n *Node) follow(ctx context.Context) {
	pause := followFirstPause
	for tried := 0; ctx.Err() == nil; {
		others := n.others()
		if len(others) == 0 || !n.needsToFollow() {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		// A voter that failed is not asked again before the others were.
		from := others[tried%len(others)]
		begin := time.Now()
		err := n.followOne(ctx, from)
		if err != nil && ctx.Err() == nil {
			n.cfg.Emit(FollowFailed{from, err})
			tried++
		}
		if time.Since(begin) > heartbeatMissing {
			pause, tried = followFirstPause, min(tried, 1)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, followMostPause)
		case <-ctx.Done():
		}
	}
}

// needsToFollow says whether Raft alone does not bring us the state.
func (n *Node) needsToFollow() bool {
	v := n.voter.Load()
	if v == nil {
		return true
	}
	n.mu.Lock()
	doubt := time.Now().Before(n.doubt)
	n.mu.Unlock()
	if doubt || !slices.Contains(serverIDs(v.servers()), v.id) {
		return true
	}
	return !v.isLeader() && time.Since(v.raft.LastContact()) > orphanedAfter
}

// followOne follows one voter until its stream ends. Nil says that there is no more need.
func (n *Node) followOne(ctx context.Context, from topo.RouterID) error {
	dialCtx, cancel := context.WithTimeout(ctx, requestWithin)
	c, err := n.cfg.DialRequest(dialCtx, from)
	cancel()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := sendMessage(c, msgWatch, watchRequest{n.View().Index}); err != nil {
		return err
	}
	for {
		m, body, err := receiveMessage(c, heartbeatMissing)
		if err != nil {
			return err
		}
		switch m {
		case msgHeartbeat:
			err = n.takeHeartbeat(body)
		case msgState:
			err = n.takeState(body)
		case msgDeltas:
			err = n.takeDeltas(body)
		case msgError:
			f := &failure{}
			err = errors.Join(json.Unmarshal(body, f), f)
		default:
			err = fmt.Errorf("a message of kind %d", m)
		}
		if err == nil {
			err = sendMessage(c, msgSeen, seenMessage{n.View().Index})
		}
		if err != nil {
			return err
		}
		if !n.needsToFollow() {
			return nil
		}
	}
}

func (n *Node) takeHeartbeat(body []byte) error {
	var h heartbeat
	if err := json.Unmarshal(body, &h); err != nil {
		return err
	}
	if h.Age < 0 || len(h.Servers) > maxVoterAnswers {
		return fmt.Errorf("a heartbeat with age %d and %d servers", h.Age, len(h.Servers))
	}
	n.mu.Lock()
	changed := n.heard.Leader != h.Leader
	n.heard = h
	n.mu.Unlock()
	if changed && n.voter.Load() == nil {
		n.cfg.Emit(LeaderChanged{h.Leader, h.Term})
	}
	s := n.View()
	if s.Index >= h.Index {
		n.hub.heard(time.Now().Add(-time.Duration(h.Age) * time.Millisecond))
	}
	if h.Hash != "" && s.Index == h.Index {
		if sum, err := s.Hash(); err != nil || hex.EncodeToString(sum[:]) != h.Hash {
			return n.distrust(s)
		}
	}
	return nil
}

// distrust drops a state that is not the voters' at the same index, so that the next stream brings it
// whole. What is in use stays in use until then.
func (n *Node) distrust(s *state.State) error {
	n.cfg.Emit(Diverged{n.cfg.Self, s.Index})
	if n.voter.Load() == nil {
		n.hub.reset(s)
	}
	return fmt.Errorf("the state at %d is not the one that the voters have", s.Index)
}

func (n *Node) takeState(body []byte) error {
	i, err := decodeImage(body, n.cfg.Cluster)
	if err != nil {
		return err
	}
	n.hub.publish(i.State, 0, nil)
	return nil
}

// takeDeltas applies commands, each to the state that it names.
func (n *Node) takeDeltas(body []byte) error {
	var d deltasMessage
	if err := json.Unmarshal(body, &d); err != nil {
		return err
	}
	if len(d.Deltas) > deltasAtOnce {
		return fmt.Errorf("%d commands at once, at most %d", len(d.Deltas), deltasAtOnce)
	}
	for _, one := range d.Deltas {
		s := n.View()
		if one.Index <= s.Index {
			continue // a voter's own log was faster
		}
		if one.Prev != s.Index {
			return fmt.Errorf("command %d follows the state at %d, this is the one at %d", one.Index, one.Prev, s.Index)
		}
		c, err := state.DecodeCommand(one.Command)
		if err != nil {
			return fmt.Errorf("command %d: %w", one.Index, err)
		}
		next, _, _ := s.Apply(one.Index, c)
		n.hub.publish(next, one.Prev, one.Command)
	}
	return nil
}
