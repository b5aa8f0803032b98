package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// What a cluster starts with when nothing else is said.
const (
	defaultFabricMTU = fabric.MaxMTU // what each way carries is measured, and said by its routes
	certLife         = 30 * 24 * time.Hour
)

// defaultLoopbacks are carved from ranges that sites rarely use themselves: carrier-grade NAT space
// (RFC 6598) and a unique local /64 (RFC 4193).
var defaultLoopbacks = []netip.Prefix{netip.MustParsePrefix("100.127.0.0/16"), netip.MustParsePrefix("fd67:616c:6c65:1::/64")}

// initialise makes a cluster with this router as its first. What it writes comes in an order that a crash
// at any point leaves either no cluster or all of it: the identity file is last.
func (c *Control) initialise(ctx context.Context, r admin.ClusterInitRequest) (admin.ClusterInitReply, error) {
	var reply admin.ClusterInitReply
	done, err := c.beginJoining()
	if err != nil {
		return reply, err
	}
	defer done()
	if r.FabricMTU == 0 {
		r.FabricMTU = defaultFabricMTU
	}
	if len(r.Loopbacks) == 0 {
		r.Loopbacks = defaultLoopbacks
	}
	now := time.Now()
	random := make([]byte, 6)
	if _, err := randReader.Read(random); err != nil {
		return reply, fmt.Errorf("make cluster id: %w", err)
	}
	cluster := "g" + hex.EncodeToString(random)
	root, err := keys.NewRoot(cluster, now, randReader)
	if err != nil {
		return reply, err
	}
	authority, err := root.Intermediate(now, randReader)
	if err != nil {
		return reply, err
	}
	key, err := joinKey(c.idDir)
	if err != nil {
		return reply, err
	}
	v, err := newVault(makeVaultKey())
	if err != nil {
		return reply, err
	}
	id := &identity{Cluster: cluster, Incarnation: 1, Router: 1, Region: r.Region, Zone: r.Zone}
	copy(id.TenantKey[:], makeVaultKey())
	sealed := map[string][]byte{}
	pem, err := authority.Marshal()
	if err != nil {
		return reply, err
	}
	for name, secret := range map[string][]byte{state.SealedAuthority: pem, state.SealedTenantKey: id.TenantKey[:]} {
		if sealed[name], err = v.seal(name, secret); err != nil {
			return reply, err
		}
	}
	cmd := state.Command{Key: "init", Reason: "cluster init", Time: now.UTC(), Init: &state.Init{
		Cluster: state.Cluster{
			ID: cluster, Incarnation: 1, FeatureLevel: state.FeatureLevel, FabricMTU: r.FabricMTU, Loopbacks: r.Loopbacks,
			Roots: [][]byte{root.Certificate()}, Chain: authority.Chain(),
		},
		Router: c.newRouter(key, r.Prefixes), Region: r.Region, Zone: r.Zone, Prefixes: r.Prefixes, Sealed: sealed,
	}}
	// Ask a state that is thrown away whether the command would be taken, before anything is written.
	trial, res, _ := state.New().Apply(1, cmd)
	if res.Err != nil {
		return reply, refused(res.Err)
	}
	id.Name = trial.Routers[1].Name
	cmd.Author = author(ctx, id.Name)
	leaf, err := authority.Issue(key.Public(), id.keysIdentity(), now, certLife)
	if err != nil {
		return reply, err
	}
	id.credential = &keys.Credential{Key: key, Chain: append([][]byte{leaf}, authority.Chain()...), Grace: certGrace}

	rootPEM, err := root.Marshal()
	if err != nil {
		return reply, err
	}
	rootPath := filepath.Join(c.idDir, rootFile)
	if err := keys.WriteSecret(rootPath, rootPEM); err != nil {
		return reply, err
	}
	if err := keys.WriteSecret(filepath.Join(c.idDir, vaultFile), v.key); err != nil {
		return reply, err
	}
	if err := c.enter(ctx, id, v, func(m *member) error { return m.consensus.Bootstrap(cmd) }); err != nil {
		return reply, err
	}
	return admin.ClusterInitReply{Cluster: cluster, Router: id.Router, Name: id.Name, RootKeyFile: rootPath}, nil
}

// enter makes this router a member: its disk is opened, its catalog begun, and its identity written last.
func (c *Control) enter(ctx context.Context, id *identity, v *vault, begin func(*member) error) error {
	m, err := c.open(id, v)
	if err != nil {
		return err
	}
	if err = begin(m); err == nil {
		err = id.save(c.idDir)
	}
	if err != nil {
		_ = m.close()
		return err
	}
	if err := c.become(m); err != nil {
		return err
	}
	c.settle(ctx, m)
	return nil
}

// beginJoining lets one attempt at a time make this router a member.
func (c *Control) beginJoining() (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.member != nil:
		id := c.member.id
		return nil, &admin.Error{Code: admin.CodeConflict, Message: fmt.Sprintf("this router is %s (%s) of cluster %s already", id.Name, id.Router, id.Cluster),
			Hint: "to put it into another cluster, revoke it there and give it an empty data_dir"}
	case c.joining:
		return nil, &admin.Error{Code: admin.CodeConflict, Message: "this router is joining already", Hint: "wait for that attempt to end"}
	}
	// What an attempt left that broke off before its identity was written belongs to nobody. The router's
	// key stays: the answer to a join that was lost is given to it again.
	for _, dir := range []string{catalogDir, objectsDir} {
		if err := c.env.FS.RemoveAll(filepath.Join(c.env.Config.DataDir, dir)); err != nil {
			return nil, fmt.Errorf("clear what an earlier attempt left: %w", err)
		}
	}
	for _, file := range []string{chainFile, vaultFile, rootFile, signingFile} {
		if err := os.Remove(filepath.Join(c.idDir, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("clear what an earlier attempt left: %w", err)
		}
	}
	c.joining = true
	return func() { c.mu.Lock(); c.joining = false; c.mu.Unlock() }, nil
}

// newRouter is what this router says of itself.
func (c *Control) newRouter(key keys.Private, prefixes []topo.SegPrefix) state.NewRouter {
	n := state.NewRouter{PublicKey: key.Public(), Feature: state.FeatureLevel}
	n.Forward, n.Control, n.S3 = c.endpoints(prefixes)
	return n
}

// endpoints says where this router is reached: as configured, or at the machine's own addresses. An
// address inside one of its own prefixes is the overlay's side, where its region's clients are.
func (c *Control) endpoints(prefixes []topo.SegPrefix) (forward, control []netip.AddrPort, s3 string) {
	cfg := c.env.Config
	forward, control, s3 = config.AddrPorts(cfg.Advertise.Forward), config.AddrPorts(cfg.Advertise.Control), cfg.Advertise.S3
	var outside []netip.Addr
	var inside netip.Addr
	for _, a := range c.env.Addresses() {
		in := false
		for _, p := range prefixes {
			in = in || p.Prefix.Contains(a)
		}
		switch {
		case !in:
			outside = append(outside, a)
		case !inside.IsValid() || a.Is4() && !inside.Is4():
			inside = a
		}
	}
	bound := func(listen netip.AddrPort) []netip.AddrPort {
		if !listen.Addr().IsUnspecified() {
			return []netip.AddrPort{listen}
		}
		var out []netip.AddrPort
		for _, a := range outside {
			out = append(out, netip.AddrPortFrom(a, listen.Port()))
		}
		return out
	}
	if len(forward) == 0 {
		forward = bound(cfg.Listen.Forward.AddrPort)
	}
	if len(control) == 0 {
		control = bound(cfg.Listen.Control.AddrPort)
	}
	if s3 == "" && c.env.S3 != nil && inside.IsValid() {
		if a, err := netip.ParseAddrPort(c.env.S3.Addr().String()); err == nil {
			s3 = "http://" + netip.AddrPortFrom(inside, a.Port()).String()
		}
	}
	return forward, control, s3
}

// keysIdentity is the identity that a certificate says.
func (id *identity) keysIdentity() keys.Identity {
	return keys.Identity{Cluster: id.Cluster, Incarnation: id.Incarnation, Region: id.Region, Zone: id.Zone, Router: id.Router}
}

// refused turns a refusal of the catalog into one of the API.
func refused(e *state.Error) error {
	code := map[state.Code]string{
		state.CodeInvalid: admin.CodeInvalid, state.CodeNotFound: admin.CodeNotFound, state.CodeConflict: admin.CodeConflict,
		state.CodeDenied: admin.CodeDenied, state.CodeFeature: admin.CodeConflict,
	}[e.Code]
	return &admin.Error{Code: code, Message: e.Message}
}
