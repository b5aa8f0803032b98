package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg"
)

func (a api) RouterList(_ context.Context, r admin.RouterListRequest) (admin.RouterListReply, error) {
	var reply admin.RouterListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	reach := map[topo.RouterID]string{m.id.Router: "self"}
	if st, err := a.c.link.status(); err == nil {
		for _, p := range st.Fabric.Peers {
			reach[p.Router] = map[string]string{"no": "unreachable"}[p.Reached]
			reach[p.Router] = cmp.Or(reach[p.Router], p.Reached)
		}
	}
	leader := m.consensus.Status().Leader
	for id := topo.RouterID(1); id < s.NextRouter; id++ {
		x, ok := s.Routers[id]
		if !ok || x.Revoked != nil && !r.All {
			continue
		}
		info := admin.RouterInfo{
			ID: id, Name: x.Name, Region: x.Region, Zone: x.Zone, Reach: cmp.Or(reach[id], "unreachable"), Role: "watcher",
			Prefixes: s.GrantsOf(id), Loopbacks: x.Loopbacks, Forward: x.Forward, Control: x.Control, S3: x.S3,
			Draining: x.Draining, Joined: x.Joined, Owner: s.Owners[x.Region].Router == id,
		}
		switch {
		case x.Revoked != nil:
			info.Reach, info.Role = "revoked", ""
		case id == leader:
			info.Role = "leader"
		case slices.Contains(s.Members, id):
			info.Role = "voter"
		}
		reply.Routers = append(reply.Routers, info)
	}
	return reply, nil
}

func (a api) RouterDrain(ctx context.Context, r admin.RouterDrainRequest) (admin.Empty, error) {
	x, _, err := a.router(r.Router)
	if err != nil {
		return admin.Empty{}, err
	}
	_, _, err = a.change(ctx, r.Change, state.Command{DrainRouter: &state.DrainRouter{ID: x.ID, On: r.On}})
	return admin.Empty{}, err
}

const (
	// revokePoll is how often a router is asked whether it has come to know of a revocation.
	revokePoll = 200 * time.Millisecond
	// maxRevokeWait bounds how long one call asks.
	maxRevokeWait = 10 * time.Minute
)

// RouterRevoke returns when every router that answers has the revocation in its catalog, or when the
// caller's patience ends; it names those that did not answer.
func (a api) RouterRevoke(ctx context.Context, r admin.RouterRevokeRequest) (admin.RouterRevokeReply, error) {
	var reply admin.RouterRevokeReply
	if r.Wait < 0 || r.Wait > maxRevokeWait {
		return reply, &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("wait %s: want 0 to %s", r.Wait, maxRevokeWait)}
	}
	x, _, err := a.router(r.Router)
	if err != nil {
		return reply, err
	}
	res, m, err := a.change(ctx, r.Change, state.Command{RevokeRouter: &state.RevokeRouter{ID: x.ID}})
	if err != nil {
		return reply, err
	}
	s, err := m.consensus.AtLeast(ctx, res.Index)
	if err != nil {
		return reply, apiError(err)
	}
	wait, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, other := range s.Live() {
		list := &reply.Enforced
		switch {
		case other.ID == m.id.Router:
		case r.Wait == 0:
			list = &reply.NotAsked
		default:
			wg.Go(func() {
				ok := a.c.awaitIndex(wait, other.ID, res.Index)
				mu.Lock()
				defer mu.Unlock()
				if ok {
					reply.Enforced = append(reply.Enforced, other.Name)
				} else {
					reply.Unreached = append(reply.Unreached, other.Name)
				}
			})
			continue
		}
		mu.Lock()
		*list = append(*list, other.Name)
		mu.Unlock()
	}
	wg.Wait()
	slices.Sort(reply.Enforced)
	slices.Sort(reply.Unreached)
	if len(reply.Unreached)+len(reply.NotAsked) > 0 {
		reply.CertExpires = time.Now().Add(certLife + certGrace)
	}
	return reply, nil
}

// awaitIndex asks a router until its catalog has reached an index.
func (c *Control) awaitIndex(ctx context.Context, id topo.RouterID, index uint64) bool {
	for ctx.Err() == nil {
		var st admin.ClusterStatusReply
		if err := c.askPeer(ctx, id, "/v1/ClusterStatus", admin.ClusterStatusRequest{}, &st); err == nil && st.Applied >= index {
			return true
		}
		select {
		case <-time.After(revokePoll):
		case <-ctx.Done():
		}
	}
	return false
}

// seen gives what calls about the network look at: this member, what forward last said, and the catalog.
func (a api) seen() (*member, ForwardStatus, *state.State, error) {
	m, err := a.c.need()
	if err != nil {
		return nil, ForwardStatus{}, nil, err
	}
	st, err := a.c.link.status()
	if err != nil {
		return nil, st, nil, &admin.Error{Code: admin.CodeUnavailable, Message: err.Error()}
	}
	return m, st, m.consensus.View(), nil
}

func (a api) LinkList(context.Context, admin.LinkListRequest) (admin.LinkListReply, error) {
	var reply admin.LinkListReply
	m, st, s, err := a.seen()
	if err != nil {
		return reply, err
	}
	for _, p := range st.Fabric.Peers {
		if l := p.Link; l != nil {
			reply.Links = append(reply.Links, admin.LinkInfo{
				From: m.id.Name, To: nameOf(s, p.Router), State: l.State, RTT: l.RTT, LossPPM: l.LossOut,
				RateMbps: float64(l.OutKbps) / 1000, MTU: l.MTU, Lanes: lanes(l),
			})
		}
	}
	return reply, nil
}

func lanes(l *fabric.LinkStatus) (all []admin.LaneInfo) {
	for _, n := range l.Lanes {
		all = append(all, admin.LaneInfo{
			State: n.State, Why: n.Why, RTT: n.RTT, LossPPM: n.Loss, Share: n.Share, Packets: n.Out.Packets,
		})
	}
	return all
}

// PathShow is answered by the router that packets leave from: it alone knows what it does with them.
func (a api) PathShow(ctx context.Context, r admin.PathShowRequest) (admin.PathShowReply, error) {
	var reply admin.PathShowReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	from, err := place(s, r.From)
	if err != nil {
		return reply, err
	}
	to, err := place(s, r.To)
	if err != nil {
		return reply, err
	}
	if from.ID != m.id.Router {
		err := a.c.askPeer(ctx, from.ID, "/v1/PathShow", admin.PathShowRequest{From: from.ID.String(), To: to.ID.String()}, &reply)
		var refused *admin.Error
		if err != nil && !errors.As(err, &refused) {
			err = noAnswer(from.Name, err)
		}
		return reply, err
	}
	e, err := a.c.link.explain(ctx, to.ID)
	if err != nil {
		return reply, &admin.Error{Code: admin.CodeUnavailable, Message: err.Error()}
	}
	st, _ := a.c.link.status()
	return pathReply(s, e, st.Fabric), nil
}

func pathReply(s *state.State, e fabric.Explanation, st fabric.Status) admin.PathShowReply {
	names := func(ids []topo.RouterID) []string {
		var out []string
		for _, id := range ids {
			out = append(out, nameOf(s, id))
		}
		return out
	}
	reply := admin.PathShowReply{
		From: nameOf(s, e.From), To: nameOf(s, e.To), Reachable: e.Reachable, Hops: names(e.Path), RTT: e.RTT,
		Why: e.Why, Backup: names(e.Backup),
	}
	for _, x := range e.Steps {
		reply.Links = append(reply.Links, admin.LinkInfo{
			From: nameOf(s, x.From), To: nameOf(s, x.To), State: "up", RTT: x.RTT, LossPPM: x.LossPPM, RateMbps: float64(x.RateMbps), MTU: x.MTU,
		})
	}
	for _, x := range e.Alternatives {
		if x.Verdict == "best" {
			continue
		}
		reply.Alternatives = append(reply.Alternatives, admin.PathOption{
			Hops: names(x.Path), RTT: 2 * time.Duration(x.Cost) * time.Microsecond, Note: x.Verdict + ": " + x.Why,
		})
		if x.Verdict == "backup" {
			reply.BackupRTT = 2 * time.Duration(x.Cost) * time.Microsecond
		}
	}
	for _, p := range st.Peers {
		if p.Router != e.To {
			continue
		}
		if p.Link != nil {
			reply.DirectRTT = p.Link.RTT
		}
		for _, x := range p.Sessions {
			reply.Session = fmt.Sprintf("%s since %s, keys of epoch %d", x.Kind, x.Since.Local().Format("15:04:05"), x.Epoch)
		}
	}
	return reply
}

func (a api) RouteList(context.Context, admin.RouteListRequest) (admin.RouteListReply, error) {
	var reply admin.RouteListReply
	_, st, s, err := a.seen()
	if err != nil {
		return reply, err
	}
	peers := map[topo.RouterID]fabric.PeerStatus{}
	for _, p := range st.Fabric.Peers {
		peers[p.Router] = p
	}
	for _, p := range st.Fabric.Prefixes {
		info := admin.RouteInfo{Prefix: p.Prefix, Router: nameOf(s, p.Egress), Region: s.Routers[p.Egress].Region, State: "local"}
		if !p.Local {
			x := peers[p.Egress]
			info.State = "pending"
			if st.Kernel.InStep {
				info.State = "installed"
			}
			if x.Next != 0 {
				info.Next = nameOf(s, x.Next)
			}
			if x.Backup != 0 {
				info.Backup = nameOf(s, x.Backup)
			}
		}
		reply.Routes = append(reply.Routes, info)
	}
	reply.Drift = drift(st.Kernel)
	return reply, nil
}

// drift says what keeps the kernel from being as it shall be.
func drift(k netcfg.Status) string {
	var out []string
	if k.Error != "" {
		out = append(out, "the kernel is not as it shall be: "+k.Error)
	}
	for _, c := range k.Conflicts {
		out = append(out, "in the way and not ours: "+c)
	}
	if k.NoFilter != "" {
		out = append(out, "packets in clear are not filtered on the underlay: "+k.NoFilter)
	}
	return strings.Join(out, "\n")
}

func (a api) PrefixList(context.Context, admin.PrefixListRequest) (admin.PrefixListReply, error) {
	var reply admin.PrefixListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	announced := map[topo.SegPrefix]bool{}
	if st, err := a.c.link.status(); err == nil {
		for _, p := range st.Fabric.Prefixes {
			announced[p.Prefix] = true
		}
	}
	for _, g := range s.Grants {
		reply.Prefixes = append(reply.Prefixes, admin.PrefixInfo{
			Prefix: g.Prefix, Router: nameOf(s, g.Router), Region: s.Routers[g.Router].Region, Announced: announced[g.Prefix],
		})
	}
	return reply, nil
}

func (a api) PrefixGrant(ctx context.Context, r admin.PrefixGrantRequest) (admin.Empty, error) {
	x, _, err := a.router(r.Router)
	if err != nil {
		return admin.Empty{}, err
	}
	_, _, err = a.change(ctx, r.Change, state.Command{GrantPrefix: &state.GrantPrefix{Grant: state.Grant{Prefix: r.Prefix, Router: x.ID}}})
	return admin.Empty{}, err
}

func (a api) PrefixWithdraw(ctx context.Context, r admin.PrefixGrantRequest) (admin.Empty, error) {
	x, _, err := a.router(r.Router)
	if err != nil {
		return admin.Empty{}, err
	}
	_, _, err = a.change(ctx, r.Change, state.Command{WithdrawPrefix: &state.WithdrawPrefix{Grant: state.Grant{Prefix: r.Prefix, Router: x.ID}}})
	return admin.Empty{}, err
}

func (a api) PoolCreate(ctx context.Context, r admin.PoolCreateRequest) (admin.Empty, error) {
	_, _, err := a.change(ctx, r.Change, state.Command{CreatePool: &state.CreatePool{Pool: state.Pool{Name: r.Name, Range: r.Range, Bits: r.Bits}}})
	return admin.Empty{}, err
}
