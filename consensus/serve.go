package consensus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	// heartbeatEvery is how often a voter tells its watchers that it is there; after
	// heartbeatMissing without one they ask another.
	heartbeatEvery   = 2 * time.Second
	heartbeatMissing = 8 * time.Second
	// hashEvery is how many heartbeats pass between two that carry the state's hash.
	hashEvery = 30
	// maxServed bounds the request streams that are served at a time, watchers among them, and
	// maxServedEach those of one router, so that none can keep the others out.
	maxServed     = 1024
	maxServedEach = 64
	// deltasAtOnce bounds one msgDeltas.
	deltasAtOnce = 64
)

// watcher is a router that follows us.
type watcher struct {
	router topo.RouterID
	seen   uint64 // guarded by Node.mu
}

// ServeRequest answers a stream of ALPNRequest. It returns when the stream ends.
func (n *Node) ServeRequest(from topo.RouterID, c net.Conn) {
	defer c.Close()
	n.mu.Lock()
	if n.ctx == nil || n.ctx.Err() != nil || len(n.conns) >= maxServed || n.served[from] >= maxServedEach {
		n.mu.Unlock()
		return
	}
	ctx := n.ctx
	n.conns[c] = struct{}{}
	n.served[from]++
	n.work.Add(1)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, c)
		if n.served[from]--; n.served[from] == 0 {
			delete(n.served, from)
		}
		n.mu.Unlock()
		n.work.Done()
	}()
	m, body, err := receiveMessage(c, messageWithin)
	if err != nil {
		return
	}
	if r := n.View().Routers[from]; r.Revoked != nil {
		_ = sendMessage(c, msgError, &failure{Code: failRefused, Message: fmt.Sprintf("router %s was revoked", from)})
		return
	}
	if m == msgWatch {
		n.serveWatch(ctx, from, c, body)
		return
	}
	reply, err := n.answer(ctx, from, m, body)
	if err == nil {
		_ = sendMessage(c, msgOK, reply)
		return
	}
	f := &failure{Code: failInternal, Message: err.Error()}
	if errors.Is(err, ErrUnknownOutcome) {
		f.Code = failUnknown
	}
	errors.As(err, &f)
	_ = sendMessage(c, msgError, f)
}

// answer carries out one request.
func (n *Node) answer(ctx context.Context, from topo.RouterID, m msg, body []byte) (any, error) {
	switch m {
	case msgPropose:
		var r proposeRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		c, err := state.DecodeCommand(r.Command)
		if err != nil {
			return nil, &failure{Code: failRefused, Message: err.Error()}
		}
		if err := n.authorise(from, c); err != nil {
			return nil, &failure{Code: failRefused, Message: err.Error()}
		}
		ctx, cancel := context.WithTimeout(ctx, min(time.Duration(r.Within)*time.Millisecond, requestWithin))
		defer cancel()
		return n.proposeLocal(ctx, c)
	case msgReadIndex:
		ctx, cancel := context.WithTimeout(ctx, requestWithin)
		defer cancel()
		index, err := n.reads.wait(ctx, n)
		return indexReply{index}, err
	case msgProbe:
		v := n.voter.Load()
		if v == nil {
			return nil, ErrNotVoter
		}
		return probeReply{v.id, v.raft.CurrentTerm()}, nil
	case msgInfo:
		var r infoRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		return n.info(r), nil
	case msgAudit:
		var r auditRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		return n.auditLocal(r.From, r.N)
	case msgStatus:
		return n.Status(), nil
	case msgTransfer:
		var r transferRequest
		v := n.voter.Load()
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		if v == nil || !v.isLeader() {
			return nil, notLeader(n.leader())
		}
		return struct{}{}, n.transferLocal(ctx, v, r.To)
	}
	return nil, fmt.Errorf("request of kind %d is not known", m)
}

func (n *Node) authorise(from topo.RouterID, c state.Command) error {
	if n.cfg.Authorise != nil {
		return n.cfg.Authorise(from, c)
	}
	if _, ok := n.View().Routers[from]; !ok && n.View().Cluster.ID != "" {
		return fmt.Errorf("router %s is not in the catalog", from)
	}
	return nil
}

// serveWatch keeps a router up to date until its stream ends.
func (n *Node) serveWatch(ctx context.Context, from topo.RouterID, c net.Conn, body []byte) {
	var r watchRequest
	if json.Unmarshal(body, &r) != nil {
		return
	}
	v := n.voter.Load()
	if v == nil {
		_ = sendMessage(c, msgError, &failure{Code: failNotLeader, Message: ErrNotVoter.Error()})
		return
	}
	w := &watcher{router: from, seen: r.After}
	n.mu.Lock()
	n.watchers[w] = struct{}{}
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		n.readSeen(c, w)
	}()
	defer func() {
		cancel()
		_ = c.Close()
		<-done
		n.mu.Lock()
		delete(n.watchers, w)
		n.mu.Unlock()
	}()
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	sent := r.After
	if sendMessage(c, msgHeartbeat, n.heartbeat(v, false)) != nil {
		return
	}
	for beats := 0; ; {
		changed := n.Changed()
		for {
			deltas, whole := n.hub.after(sent, deltasAtOnce)
			var err error
			switch {
			case whole != nil:
				var b []byte
				if b, err = (image{Cluster: n.cfg.Cluster, State: whole}).encode(); err == nil {
					err = sendMessage(c, msgState, b)
				}
				sent = whole.Index
			case len(deltas) > 0:
				err = sendMessage(c, msgDeltas, deltasMessage{deltas})
				sent = deltas[len(deltas)-1].Index
			}
			if err != nil {
				return
			}
			if whole == nil && len(deltas) == 0 {
				break
			}
		}
		select {
		case <-changed:
		case <-tick.C:
			if n.voter.Load() != v {
				return // we are no voter any more, or Raft was started again
			}
			beats++
			if sendMessage(c, msgHeartbeat, n.heartbeat(v, beats%hashEvery == 0)) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// readSeen notes how far a watcher has come. A watcher says something after every heartbeat.
func (n *Node) readSeen(c net.Conn, w *watcher) {
	for {
		m, body, err := receiveMessage(c, heartbeatMissing)
		var s seenMessage
		if err != nil || m != msgSeen || json.Unmarshal(body, &s) != nil {
			return
		}
		n.mu.Lock()
		w.seen = s.Index
		n.mu.Unlock()
	}
}

func (n *Node) heartbeat(v *voter, hash bool) heartbeat {
	s := n.View()
	age, _ := n.age(v)
	h := heartbeat{Leader: v.leader(), Term: v.raft.CurrentTerm(), Index: s.Index, Age: age.Milliseconds(),
		Servers: serverIDs(v.servers()), ConfIndex: v.configured()}
	if hash {
		if sum, err := s.Hash(); err == nil {
			h.Hash = hex.EncodeToString(sum[:])
		}
	}
	return h
}

// age bounds how old the state here may be. A leader that was cut off finds out within its lease.
func (n *Node) age(v *voter) (time.Duration, bool) {
	if v != nil {
		lease := tiers[v.tier].Lease
		if v.isLeader() {
			return lease, true
		}
		if last := v.raft.LastContact(); !last.IsZero() {
			return time.Since(last) + lease, true
		}
	}
	return n.hub.age(time.Now())
}
