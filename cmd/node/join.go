package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
)

// Joining is one exchange of JSON on a stream whose client has no certificate yet and whose server is
// known by the token's hash of the root:
//
//	joiner                             any router of the cluster
//	  {token id and hash, CSR, endpoints} ─▶  Join, one command: the token is used up, the router made
//	                                          a voter signs the certificate
//	  ◀─ {certificate, tenant key, catalog}
//
// A joiner whose answer is lost asks again with the same key and gets the same router.

// Bounds on both messages, in bytes.
const (
	maxJoinRequest = 16 << 10
	maxJoinReply   = state.MaxSize + 1<<20
	joinTimeout    = 25 * time.Second
	maxTokenFile   = 64 << 10
)

type joinRequest struct {
	TokenID   string           `json:"token_id"`
	TokenHash [32]byte         `json:"token_hash"`
	CSR       []byte           `json:"csr"`
	Forward   []netip.AddrPort `json:"forward"`
	Control   []netip.AddrPort `json:"control"`
	S3        string           `json:"s3"`
	Feature   int              `json:"feature"`
}

type joinReply struct {
	Error *admin.Error  `json:"error,omitempty"`
	Route topo.RouterID `json:"router,omitempty"`
	welcome
	// State is the catalog, encoded, so that the joiner knows its peers before it hears from any.
	State []byte `json:"state,omitempty"`
}

// welcome is what a voter gives a router that is in the catalog: its certificate, and the key that names chunks.
type welcome struct {
	Chain     [][]byte `json:"chain,omitempty"`
	TenantKey [32]byte `json:"tenant_key"`
}

// join makes this router a member of the cluster that a token names.
func (c *Control) join(ctx context.Context, text string) (admin.ClusterJoinReply, error) {
	var reply admin.ClusterJoinReply
	t, err := keys.ParseToken(strings.TrimSpace(text))
	if err != nil {
		return reply, &admin.Error{Code: admin.CodeDenied, Message: err.Error()}
	}
	if err := t.CheckTime(time.Now()); err != nil {
		return reply, &admin.Error{Code: admin.CodeDenied, Message: err.Error()}
	}
	done, err := c.beginJoining()
	if err != nil {
		return reply, err
	}
	defer done()
	key, err := joinKey(c.idDir)
	if err != nil {
		return reply, err
	}
	csr, err := keys.NewCSR(key)
	if err != nil {
		return reply, err
	}
	req := joinRequest{TokenID: t.ID, TokenHash: t.Hash(), CSR: csr, Feature: state.FeatureLevel}
	req.Forward, req.Control, req.S3 = c.endpoints(t.Prefixes)
	answer, err := c.askSeeds(ctx, t, req)
	if err != nil {
		return reply, err
	}
	id, s, err := accept(t, key, answer)
	if err != nil {
		return reply, err
	}
	if err := c.enter(ctx, id, nil, func(m *member) error { return m.consensus.Adopt(s) }); err != nil {
		return reply, err
	}
	return admin.ClusterJoinReply{
		Cluster: id.Cluster, Router: id.Router, Name: id.Name, Region: id.Region, Zone: id.Zone, Prefixes: s.GrantsOf(id.Router),
	}, nil
}

// askSeeds asks the token's routers one after the other. A refusal ends it: the others would say the same.
func (c *Control) askSeeds(ctx context.Context, t keys.Token, req joinRequest) (joinReply, error) {
	var errs []error
	for _, seed := range t.Seeds {
		answer, err := c.askSeed(ctx, t, seed, req)
		if err == nil && answer.Error == nil {
			return answer, nil
		}
		if err == nil {
			err = answer.Error
			if code := answer.Error.Code; code != admin.CodeUnavailable && code != admin.CodeUnknown {
				return answer, err
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", seed, err))
	}
	return joinReply{}, &admin.Error{
		Code: admin.CodeUnavailable, Message: fmt.Sprintf("no router of cluster %s could be joined at: %v", t.Cluster, errors.Join(errs...)),
		Hint: "check that UDP reaches one of the addresses from here; the token stays good until " + t.Expires.UTC().Format(time.RFC3339),
	}
}

func (c *Control) askSeed(ctx context.Context, t keys.Token, seed netip.AddrPort, req joinRequest) (joinReply, error) {
	var answer joinReply
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var pc net.PacketConn
	if c.env.JoinConn != nil {
		var err error
		if pc, err = c.env.JoinConn(); err != nil {
			return answer, err
		}
		defer pc.Close()
	}
	conn, err := tunnel.DialJoin(ctx, pc, seed, t.CAHash)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	b, err := json.Marshal(req)
	if err != nil {
		return answer, err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return answer, err
	}
	err = json.NewDecoder(io.LimitReader(conn, maxJoinReply)).Decode(&answer)
	return answer, err
}

// accept believes an answer after checking that it is what the token promised.
func accept(t keys.Token, key keys.Private, a joinReply) (*identity, *state.State, error) {
	s, err := state.Decode(a.State)
	if err != nil {
		return nil, nil, fmt.Errorf("join: %w", err)
	}
	r := s.Routers[a.Route]
	if s.Cluster.ID != t.Cluster || s.Cluster.Incarnation != t.Incarnation || r.Region != t.Region || r.Zone != t.Zone || !bytes.Equal(r.PublicKey, key.Public()) {
		return nil, nil, fmt.Errorf("join: the cluster's answer is about router %s in %s of %s, not what the token says", a.Route, r.Zone, s.Cluster.ID)
	}
	id := &identity{
		Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, Router: r.ID, Name: r.Name, Region: r.Region, Zone: r.Zone,
		TenantKey: a.TenantKey, credential: &keys.Credential{Key: key, Chain: a.Chain, Grace: certGrace},
	}
	if err := id.credential.Check(time.Now()); err != nil {
		return nil, nil, fmt.Errorf("join: %w", err)
	}
	if who, err := id.credential.Identity(); err != nil || who != id.keysIdentity() {
		return nil, nil, fmt.Errorf("join: the certificate is for %s, the catalog says %s", who, id.keysIdentity())
	}
	if hash, err := keys.HashCA(a.Chain[len(a.Chain)-1]); err != nil || hash != t.CAHash {
		return nil, nil, fmt.Errorf("join: the certificate does not end in the root that the token names")
	}
	return id, s, nil
}

// joinFromFile joins with the token in the configured file. It keeps trying: nobody may answer yet, the file
// may be written later, and a token that is refused may be replaced by a good one.
func (c *Control) joinFromFile(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		b, err := readToken(c.env.Config.JoinTokenFile)
		if err == nil {
			_, err = c.join(ctx, string(b))
		}
		if err == nil || ctx.Err() != nil || c.current() != nil {
			return nil
		}
		c.log.Error("join with the token in a file", "file", c.env.Config.JoinTokenFile, "err", err, "again in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// readToken reads a token's file, which is small.
func readToken(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxTokenFile))
}

// serveJoin is the cluster's side.
func (c *Control) serveJoin(ctx context.Context, from netip.AddrPort, conn net.Conn) {
	var req joinRequest
	answer := joinReply{}
	if err := json.NewDecoder(io.LimitReader(conn, maxJoinRequest)).Decode(&req); err != nil {
		answer.Error = &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("read the join request: %v", err)}
	} else if a, err := c.admitJoiner(ctx, from, req); err != nil {
		answer.Error = apiError(err)
		c.log.Warn("join refused", "from", from, "token", printable(req.TokenID), "err", err)
	} else {
		answer = a
	}
	if err := json.NewEncoder(conn).Encode(answer); err != nil {
		c.log.Warn("join: answer not delivered", "from", from, "err", err)
	}
}

func (c *Control) admitJoiner(ctx context.Context, from netip.AddrPort, req joinRequest) (joinReply, error) {
	var answer joinReply
	m, err := c.need()
	if err != nil {
		return answer, err
	}
	pub, err := keys.CheckCSR(req.CSR)
	if err != nil {
		return answer, &admin.Error{Code: admin.CodeInvalid, Message: err.Error()}
	}
	if len(req.Forward) == 0 {
		req.Forward = []netip.AddrPort{netip.AddrPortFrom(from.Addr().Unmap(), c.env.Config.Listen.Forward.Port())}
	}
	if len(req.Control) == 0 {
		req.Control = []netip.AddrPort{netip.AddrPortFrom(from.Addr().Unmap(), c.env.Config.Listen.Control.Port())}
	}
	cmd := state.Command{
		Key:    newKey(),
		Author: "token " + printable(req.TokenID) + " at " + m.id.Name, Reason: "join from " + from.Addr().Unmap().String(),
		Join: &state.Join{TokenID: req.TokenID, TokenHash: req.TokenHash, Router: state.NewRouter{
			PublicKey: pub, Forward: req.Forward, Control: req.Control, S3: req.S3, Feature: req.Feature,
		}},
	}
	if err := c.wouldJoin(ctx, m, cmd); err != nil {
		return answer, err
	}
	res, err := c.propose(ctx, m, cmd)
	if err != nil {
		return answer, err
	}
	answer.Route = res.Router
	s, err := m.consensus.AtLeast(ctx, res.Index)
	if err != nil {
		return answer, err
	}
	if answer.State, err = s.Encode(); err != nil {
		return answer, err
	}
	answer.welcome, err = c.welcomeFor(ctx, m, res.Router, res.Index)
	return answer, err
}

// wouldJoin asks the catalog whether a join would be taken, without a command: strangers must not be able to
// fill the log with refusals. The catalog here may be behind, so a refusal counts only by the newest one.
func (c *Control) wouldJoin(ctx context.Context, m *member, cmd state.Command) error {
	cmd.Time = time.Now().UTC()
	s := m.consensus.View()
	if _, res, _ := s.Apply(s.Index+1, cmd); res.Err == nil {
		return nil
	}
	s, err := m.consensus.Read(ctx, consensus.Linearizable)
	if err != nil {
		return err
	}
	if _, res, _ := s.Apply(s.Index+1, cmd); res.Err != nil {
		return refused(res.Err)
	}
	return nil
}

// welcomeFor gives a router's certificate: signed here by a voter, or asked of one.
func (c *Control) welcomeFor(ctx context.Context, m *member, id topo.RouterID, index uint64) (welcome, error) {
	if m.getVault() != nil {
		return c.issue(ctx, m, id, index)
	}
	var w welcome
	err := c.anyVoter(ctx, m, func(voter topo.RouterID) error {
		return c.askPeer(ctx, voter, pathWelcome, welcomeRequest{Router: id, Index: index}, &w)
	})
	return w, err
}

// issue signs a certificate for a router of the catalog, for the key that the catalog has for it.
func (c *Control) issue(ctx context.Context, m *member, id topo.RouterID, index uint64) (welcome, error) {
	var w welcome
	s, err := m.consensus.AtLeast(ctx, index)
	if err != nil {
		return w, err
	}
	r, ok := s.Routers[id]
	if !ok || r.Revoked != nil {
		return w, &admin.Error{Code: admin.CodeDenied, Message: fmt.Sprintf("router %s is not in the catalog, or revoked", id)}
	}
	v := m.getVault()
	pem, err := v.open(state.SealedAuthority, s.Sealed[state.SealedAuthority])
	if err != nil {
		return w, err
	}
	authority, err := keys.ParseAuthority(pem)
	if err != nil {
		return w, err
	}
	leaf, err := authority.Issue(r.PublicKey, keys.Identity{
		Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, Region: r.Region, Zone: r.Zone, Router: r.ID,
	}, time.Now(), certLife)
	if err != nil {
		return w, err
	}
	w.Chain = append([][]byte{leaf}, authority.Chain()...)
	tenant, err := v.open(state.SealedTenantKey, s.Sealed[state.SealedTenantKey])
	if err != nil {
		return w, err
	}
	copy(w.TenantKey[:], tenant)
	return w, nil
}

// printable keeps what a stranger sent from writing into the log or the audit trail as it likes.
func printable(s string) string {
	const most = 32
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
