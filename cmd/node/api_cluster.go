package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

func (a api) ClusterInit(ctx context.Context, r admin.ClusterInitRequest) (admin.ClusterInitReply, error) {
	return a.c.initialise(ctx, r)
}

func (a api) ClusterJoin(ctx context.Context, r admin.ClusterJoinRequest) (admin.ClusterJoinReply, error) {
	return a.c.join(ctx, r.Token)
}

// leaderAsk bounds how long a status waits for the leader's part of it.
const leaderAsk = 3 * time.Second

func (a api) ClusterStatus(ctx context.Context, _ admin.ClusterStatusRequest) (admin.ClusterStatusReply, error) {
	m := a.c.current()
	if m == nil {
		a.c.mu.RLock()
		defer a.c.mu.RUnlock()
		st := "uninitialised"
		if a.c.joining {
			st = "joining"
		}
		return admin.ClusterStatusReply{State: st, Version: Version}, nil
	}
	s, here := m.consensus.View(), m.consensus.Status()
	reply := admin.ClusterStatusReply{
		State: "member", Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, Router: m.id.Router, Name: m.id.Name,
		Version: Version, Role: string(here.Role), Leader: here.Leader, Term: here.Term, Commit: here.Commit, Applied: here.Index,
		StateHash: here.Hash, FeatureLevel: here.FeatureLevel, Timeouts: timeouts(here.Wanted), Disk: here.Disk,
		AuditSeq: here.Audit.Seq, AuditHash: here.Audit.Hash, Regions: len(s.Regions()), Routers: len(s.Live()), Forward: "up",
	}
	if here.Leader == m.id.Router {
		reply.Role = "leader"
	}
	if _, err := a.c.link.status(); err != nil {
		reply.Forward = err.Error()
	}
	if a.c.isRevoked(m) {
		reply.State, reply.Role, reply.Problem = "revoked", "revoked", errRevoked.Error()
	}
	var err error
	if reply.CertExpires, err = m.cred().NotAfter(); err != nil {
		return reply, apiError(err)
	}
	ask, cancel := context.WithTimeout(ctx, leaderAsk)
	defer cancel()
	// Without a leader the answer is what is known here: that is when a status is needed most.
	all, err := m.consensus.ClusterStatus(ask)
	if err == nil {
		reply.Commit, reply.Timeouts = max(reply.Commit, all.Commit), timeouts(all.Wanted)
	}
	reply.Members = members(s, all, err == nil)
	return reply, nil
}

func timeouts(t consensus.Timeouts) string {
	if t == (consensus.Timeouts{}) {
		return "not known here"
	}
	return fmt.Sprintf("heartbeat %s, election %s, lease %s, commit %s (voters up to %s apart)", t.Heartbeat, t.Election, t.Lease, t.Commit, t.RTT)
}

// members lists every live router's part in the agreement. What the leader says of others is only there
// when it answered.
func members(s *state.State, st consensus.Status, full bool) []admin.MemberStatus {
	now := time.Now()
	by := map[topo.RouterID]admin.MemberStatus{}
	for _, v := range st.Voters {
		m := admin.MemberStatus{Role: "voter", RTT: v.RTT, Applied: v.Index}
		if v.LastContact >= 0 {
			m.LastContact = now.Add(-v.LastContact)
		}
		switch {
		case v.Leader:
			m.Role = "leader"
		case !v.Voter:
			m.Role = "joining-voter"
		}
		by[v.Router] = m
	}
	for _, w := range st.Watchers {
		by[w.Router] = admin.MemberStatus{Role: "watcher", Applied: w.Index}
	}
	var out []admin.MemberStatus
	for _, r := range s.Live() {
		m, ok := by[r.ID]
		if !ok {
			m.Role = "watcher"
			if slices.Contains(s.Members, r.ID) {
				m.Role = "voter"
			}
			if full {
				m.Role += ", away"
			}
		}
		m.Router, m.Name, m.Region = r.ID, r.Name, r.Region
		out = append(out, m)
	}
	return out
}

func (a api) ClusterAudit(ctx context.Context, r admin.ClusterAuditRequest) (admin.ClusterAuditReply, error) {
	var reply admin.ClusterAuditReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	last := min(uint64(max(cmp.Or(r.Last, 50), 1)), 1000)
	head := m.consensus.View().Audit
	from := uint64(1)
	if head.Seq > last {
		from = head.Seq - last + 1
	}
	entries, err := m.consensus.Audit(ctx, from, int(last))
	if err != nil {
		return reply, apiError(err)
	}
	// The head may have moved on while the entries came.
	for i, e := range entries {
		if e.Seq == head.Seq {
			entries = entries[:i+1]
			break
		}
	}
	if err := state.VerifyAudit(entries); err != nil {
		reply.Problem = err.Error()
	} else if n := len(entries); n > 0 && entries[n-1].Hash != head.Hash {
		reply.Problem = fmt.Sprintf("the last entry is %d, the state's head is %d with another hash", entries[n-1].Seq, head.Seq)
	}
	reply.Verified = reply.Problem == ""
	for _, e := range entries {
		reply.Entries = append(reply.Entries, admin.AuditEntry{
			Seq: e.Seq, Index: e.Index, Time: e.Time, Author: e.Author, Reason: e.Reason, What: e.What, Hash: e.Hash,
		})
	}
	return reply, nil
}

// Bounds on tokens.
const (
	defaultTTL = time.Hour
	maxTTL     = 30 * 24 * time.Hour
	maxSeeds   = 8
)

func (a api) TokenCreate(ctx context.Context, r admin.TokenCreateRequest) (admin.TokenCreateReply, error) {
	var reply admin.TokenCreateReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	ttl := cmp.Or(r.TTL, defaultTTL)
	if ttl < time.Second || ttl > maxTTL {
		return reply, &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("ttl %s: want one second to %s", ttl, maxTTL)}
	}
	s := m.consensus.View()
	caHash, err := keys.HashCA(s.Cluster.Roots[0])
	if err != nil {
		return reply, apiError(err)
	}
	id, secret, err := keys.NewTokenID(rand.Reader)
	if err != nil {
		return reply, apiError(err)
	}
	t := keys.Token{
		ID: id, Secret: secret, Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, CAHash: caHash,
		Seeds: seeds(s, m.id.Router), Region: r.Region, Zone: r.Zone, Prefixes: r.Prefixes, Pool: r.Pool,
		Expires: time.Now().Add(ttl).UTC().Truncate(time.Second),
	}
	cmd := state.Command{CreateToken: &state.CreateToken{Token: state.Token{
		ID: t.ID, Hash: t.Hash(), Region: t.Region, Zone: t.Zone, Prefixes: t.Prefixes, Pool: t.Pool, Expires: t.Expires,
	}}}
	// The catalog here may be behind, but what it refuses, it says best.
	if _, res, _ := s.Apply(s.Index+1, cmd); res.Err != nil && res.Err.Code == state.CodeInvalid {
		return reply, refused(res.Err)
	}
	if err := t.Check(); err != nil {
		return reply, &admin.Error{Code: admin.CodeInvalid, Message: err.Error()}
	}
	if err := reserved(s, t); err != nil {
		return reply, err
	}
	res, _, err := a.change(ctx, r.Change, cmd)
	if err != nil {
		return reply, err
	}
	if s, err = m.consensus.AtLeast(ctx, res.Index); err != nil {
		return reply, apiError(err)
	}
	if _, ok := s.Tokens[t.ID]; !ok {
		return reply, &admin.Error{Code: admin.CodeConflict, Message: "a token was made with this key before; it was shown then, and only then",
			Hint: "galleon token list shows it; take it back with galleon token delete, and ask again with a key of its own"}
	}
	return admin.TokenCreateReply{ID: t.ID, Token: t.Encode(), Expires: t.Expires}, nil
}

// reserved refuses a token whose prefixes could not be granted when it is used: a joiner would be the one to
// learn of it.
func reserved(s *state.State, t keys.Token) error {
	for i, p := range t.Prefixes {
		for _, q := range t.Prefixes[:i] {
			if p.Overlaps(q) {
				return &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("%s overlaps %s, which is in the same token", p, q), Hint: "leave one of them out"}
			}
		}
		for _, other := range s.Tokens {
			if other.UsedBy != 0 || other.Region == t.Region || time.Now().After(other.Expires) {
				continue
			}
			if j := slices.IndexFunc(other.Prefixes, p.Overlaps); j >= 0 {
				return &admin.Error{Code: admin.CodeConflict, Message: fmt.Sprintf("%s overlaps %s, which the unused token %s promises to a router in %s", p, other.Prefixes[j], other.ID, other.Zone),
					Hint: "choose another prefix, or take that token back: galleon token delete " + other.ID}
			}
		}
	}
	return nil
}

// seeds are where a joiner asks: this router first, then the voters.
func seeds(s *state.State, self topo.RouterID) []netip.AddrPort {
	var out []netip.AddrPort
	for _, id := range append([]topo.RouterID{self}, s.Members...) {
		for _, e := range s.Routers[id].Control {
			if !slices.Contains(out, e) && len(out) < maxSeeds {
				out = append(out, e)
			}
		}
	}
	return out
}

func (a api) TokenList(context.Context, admin.TokenListRequest) (admin.TokenListReply, error) {
	var reply admin.TokenListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	for _, id := range slices.Sorted(maps.Keys(s.Tokens)) {
		t := s.Tokens[id]
		info := admin.TokenInfo{ID: t.ID, Region: t.Region, Zone: t.Zone, Prefixes: t.Prefixes, Pool: t.Pool, Expires: t.Expires, State: "unused"}
		switch {
		case t.UsedBy != 0:
			info.State, info.UsedBy = "used", nameOf(s, t.UsedBy)
		case time.Now().After(t.Expires):
			info.State = "expired"
		}
		reply.Tokens = append(reply.Tokens, info)
	}
	return reply, nil
}

func (a api) TokenDelete(ctx context.Context, r admin.TokenDeleteRequest) (admin.Empty, error) {
	_, _, err := a.change(ctx, r.Change, state.Command{DeleteToken: &state.DeleteToken{ID: r.ID}})
	return admin.Empty{}, err
}
