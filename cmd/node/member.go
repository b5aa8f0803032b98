package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
	"github.com/galleon-net/galleon/replication"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Directories below Config.DataDir, beside the identity.
const (
	catalogDir = "catalog"
	objectsDir = "objects"
)

// parts are what a member of a cluster has beside its identity.
type parts struct {
	consensus *consensus.Node
	store     *store.Store
	engine    *replication.Engine
	signing   *signingKeys
	front     http.Handler // the object endpoint, for clients
	owned     http.Handler // the same for requests that others pass on

	refused  atomic.Bool  // voters say that this router was revoked
	secretMu sync.RWMutex // guards id.credential and vault
}

// open opens the disk of a member: catalog and objects. Nothing runs yet.
func (c *Control) open(id *identity, v *vault) (*member, error) {
	m := &member{id: id, vault: v}
	dir := c.env.Config.DataDir
	var err error
	m.consensus, err = consensus.Open(consensus.Config{
		Self: id.Router, Cluster: id.Cluster, Dir: filepath.Join(dir, catalogDir), FS: c.env.FS,
		DialRaft:    c.dialer(tunnel.ALPNRaft),
		DialRequest: c.dialer(tunnel.ALPNControl),
		RTT:         c.rtt,
		Authorise:   func(from topo.RouterID, cmd state.Command) error { return mayPropose(m.consensus.View(), from, cmd) },
		Fatal:       c.env.Fatal,
		Emit:        emit[consensus.Event](c.log, "consensus"),
	})
	if err != nil {
		return nil, err
	}
	m.store, err = store.Open(store.Options{
		Dir: filepath.Join(dir, objectsDir), FS: c.env.FS, TenantKey: id.TenantKey, Region: id.Region, Router: id.Router,
		Clock: &object.Clock{}, CacheBytes: c.env.Config.Store.CacheBytes, FreeFloor: uint64(c.env.Config.Store.MinFree),
		Versioned: func(bucket string) bool { return m.consensus.View().Buckets[bucket].Versioning },
		Suspended: func(bucket string) bool { return m.consensus.View().Buckets[bucket].Suspended },
		Fatal:     c.env.Fatal,
		Emit:      emit[store.Event](c.log, "store"),
	})
	if err != nil {
		return nil, errors.Join(err, m.consensus.Close())
	}
	m.engine = replication.New(replication.Config{
		Store: m.store, Self: id.Router, Region: id.Region, Dial: c.dialer(tunnel.ALPNRepl),
		Emit: emit[replication.Event](c.log, "replication"),
	})
	m.signing, err = openSigningKeys(filepath.Join(c.idDir, signingFile), id.Region)
	if err != nil {
		return nil, errors.Join(err, m.store.Close(), m.consensus.Close())
	}
	m.front, m.owned = c.objectHandler(m, true), c.objectHandler(m, false)
	return m, nil
}

func (m *member) close() error { return errors.Join(m.store.Close(), m.consensus.Close()) }

func (m *member) getVault() *vault {
	m.secretMu.RLock()
	defer m.secretMu.RUnlock()
	return m.vault
}

func (m *member) cred() *keys.Credential {
	m.secretMu.RLock()
	defer m.secretMu.RUnlock()
	return m.id.credential
}

// dialer gives streams to routers under one ALPN. The pool is made after the member when the identity was
// on disk, hence the indirection.
func (c *Control) dialer(alpn string) func(context.Context, topo.RouterID) (net.Conn, error) {
	return func(ctx context.Context, to topo.RouterID) (net.Conn, error) {
		if err := c.paced(ctx, to); err != nil {
			return nil, err
		}
		return c.pool.Open(ctx, to, alpn)
	}
}

// rtt is the round-trip time to a router: as forward probes it, or as control's own sessions see it.
func (c *Control) rtt(id topo.RouterID) time.Duration {
	if st, err := c.link.status(); err == nil {
		for _, p := range st.Fabric.Peers {
			if p.Router == id && p.Link != nil && p.Link.RTT > 0 {
				return p.Link.RTT
			}
		}
	}
	d, _ := c.pool.RTT(id)
	return d
}

// followCatalog brings the rest of the router in line with every change of the catalog.
func (c *Control) followCatalog(ctx context.Context, m *member) error {
	for {
		changed := m.consensus.Changed()
		s := m.consensus.View()
		if r, ok := s.Routers[m.id.Router]; ok {
			if err := c.apply(ctx, m, s, r); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Control) apply(ctx context.Context, m *member, s *state.State, self state.Router) error {
	if self.Revoked != nil && !m.refused.Swap(true) {
		c.log.Error("this router was revoked", "when", self.Revoked.Time, "reason", self.Revoked.Reason, "next", errRevoked.Hint)
	}
	if err := c.setForward(m, s); err != nil {
		return err
	}
	m.engine.Set(replicationTopology(s))
	c.pool.Recheck()
	return nil
}

// setForward tells the forward half what the catalog says.
func (c *Control) setForward(m *member, s *state.State) error {
	cred := m.cred()
	pem, err := cred.Key.PEM()
	if err != nil {
		return fmt.Errorf("hand the credential to forward: %w", err)
	}
	return c.link.want(forwardConfig{
		Fabric: meshConfig(s, m.id.Router, c.env.Config), Pools: s.Cluster.Loopbacks, Key: pem, Chain: keys.EncodeChain(cred.Chain), Grace: cred.Grace,
	}, catalogAt{s.Cluster.Incarnation, s.Index})
}

// Pace of the loops that keep things as they should be.
const (
	forwardPeriod = 500 * time.Millisecond
	keepPeriod    = 5 * time.Second
	gcPeriod      = time.Hour
)

// keepForward keeps the forward half configured, whichever of the two started last.
func (c *Control) keepForward(ctx context.Context) error {
	t := time.NewTicker(forwardPeriod)
	defer t.Stop()
	tell := complaint{log: c.log, what: "configure the forward process"}
	for {
		configured, err := c.link.sync(ctx)
		if ctx.Err() != nil {
			return nil
		}
		tell.heard(err)
		if configured {
			c.log.Info("forward configured")
		}
		select {
		case <-t.C:
		case <-c.link.kick:
		case <-ctx.Done():
			return nil
		}
	}
}

// keepStore collects garbage, and trims the log as far as every destination has it.
func (c *Control) keepStore(ctx context.Context, m *member) error {
	t := time.NewTicker(gcPeriod)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if _, err := m.store.GC(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("collect garbage", "err", err)
		}
		if err := m.engine.TrimLog(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("trim the change log", "err", err)
		}
	}
}

// keepCertificate renews this router's certificate when a third of its life is left, keeps what the
// catalog says of it true, and fetches the voters' key when it shall be one.
func (c *Control) keepCertificate(ctx context.Context, m *member) error {
	t := time.NewTicker(keepPeriod)
	defer t.Stop()
	steps := []struct {
		do   func(context.Context, *member) error
		tell complaint
	}{
		{c.renew, complaint{log: c.log, what: "renew certificate"}},
		{c.fetchVault, complaint{log: c.log, what: "fetch the voters' key"}},
		{c.updateSelf, complaint{log: c.log, what: "update endpoints"}},
		{c.fetchSigning, complaint{log: c.log, what: "fetch signing keys"}},
	}
	for {
		for i := range steps {
			if c.isRevoked(m) {
				break
			}
			if err := steps[i].do(ctx, m); ctx.Err() == nil {
				steps[i].tell.heard(err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Control) fetchSigning(ctx context.Context, m *member) error {
	return m.signing.refresh(ctx, c, m)
}

func (c *Control) renew(ctx context.Context, m *member) error {
	old := m.cred()
	ends, err := old.NotAfter()
	if err != nil {
		return err
	}
	if time.Until(ends) > certLife/3 {
		return nil
	}
	w, err := c.welcomeFor(ctx, m, m.id.Router, 0)
	if err != nil {
		return err
	}
	fresh := *old
	fresh.Chain = w.Chain
	if err := fresh.Check(time.Now()); err != nil {
		return err
	}
	if err := keys.WriteSecret(filepath.Join(c.idDir, chainFile), keys.EncodeChain(fresh.Chain)); err != nil {
		return err
	}
	m.secretMu.Lock()
	m.id.credential = &fresh
	m.secretMu.Unlock()
	c.log.Info("certificate renewed", "until", time.Now().Add(certLife))
	return c.setForward(m, m.consensus.View())
}

func (c *Control) fetchVault(ctx context.Context, m *member) error {
	if m.getVault() != nil || !slices.Contains(m.consensus.View().Members, m.id.Router) {
		return nil
	}
	var r vaultReply
	err := c.anyVoter(ctx, m, func(id topo.RouterID) error { return c.askPeer(ctx, id, pathVault, struct{}{}, &r) })
	if err != nil {
		return err
	}
	v, err := newVault(r.Key)
	if err != nil {
		return err
	}
	s := m.consensus.View()
	if _, err := v.open(state.SealedTenantKey, s.Sealed[state.SealedTenantKey]); err != nil {
		return err
	}
	if err := keys.WriteSecret(filepath.Join(c.idDir, vaultFile), v.key); err != nil {
		return err
	}
	m.secretMu.Lock()
	m.vault = v
	m.secretMu.Unlock()
	return nil
}

// updateSelf tells the catalog when this router is reached elsewhere than it says, or was upgraded.
func (c *Control) updateSelf(ctx context.Context, m *member) error {
	s := m.consensus.View()
	r, ok := s.Routers[m.id.Router]
	if !ok || r.Revoked != nil {
		return nil
	}
	forward, control, s3 := c.endpoints(append(s.GrantsOf(r.ID), r.Loopbacks...))
	if len(forward) == 0 {
		forward = r.Forward
	}
	if len(control) == 0 {
		control = r.Control
	}
	u := state.UpdateRouter{ID: r.ID, Forward: forward, Control: control, S3: s3, Feature: state.FeatureLevel}
	if slices.Equal(u.Forward, r.Forward) && slices.Equal(u.Control, r.Control) && u.S3 == r.S3 && u.Feature == r.Feature {
		return nil
	}
	_, err := c.propose(ctx, m, state.Command{Author: r.Name, Reason: "its endpoints changed", UpdateRouter: &u})
	return err
}

// apiError gives an error of the houses below its place in the API.
func apiError(err error) *admin.Error {
	var e *admin.Error
	var refusal *state.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &refusal):
		return refused(refusal).(*admin.Error)
	case errors.Is(err, consensus.ErrUnknownOutcome):
		return &admin.Error{Code: admin.CodeUnknown, Message: err.Error(), Hint: "look whether it was done before trying again"}
	case errors.Is(err, consensus.ErrNoLeader), errors.Is(err, context.DeadlineExceeded):
		return &admin.Error{Code: admin.CodeUnavailable, Message: err.Error(), Hint: "galleon cluster status says who can be reached"}
	}
	return &admin.Error{Code: admin.CodeInternal, Message: err.Error()}
}
