package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/netcfg"
	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// ForwardEnv is what the forward half stands on.
type ForwardEnv struct {
	Config config.Config
	Socket *underlay.Socket
	Device tun.Device
	Kernel kernel.Kernel
	// Link takes calls from the control half.
	Link net.Listener
	// Interfaces names the interfaces that have one of the addresses, for guards where the configuration
	// names none.
	Interfaces func([]netip.Addr) []string
	Log        *slog.Logger
}

// Forward is the half that carries packets. It needs no disk and no catalog: what it was told last is
// what it goes on with.
type Forward struct {
	env  ForwardEnv
	boot string
	mesh *fabric.Mesh
	net  *netcfg.Reconciler

	// configured is closed with the first configuration. The routes of a former process are kept for a
	// time that begins then, and not while control is not there yet to say what they should be.
	configured chan struct{}
	once       sync.Once

	mu     sync.Mutex
	config forwardConfig
	hash   string
	at     catalogAt
	routes fabric.RouteSet
}

// NewForward puts the half together. Nothing runs yet.
func NewForward(env ForwardEnv) *Forward {
	f := &Forward{env: env, boot: bootID(), configured: make(chan struct{})}
	f.mesh = fabric.New(fabric.Env{
		Socket: env.Socket, Device: env.Device, ProbeInterval: env.Config.Fabric.ProbeInterval,
		Emit: emit[fabric.Event](env.Log, "fabric"), Routes: f.setRoutes,
	})
	env.Socket.OnShortfall(emit[underlay.Shortfall](env.Log, "fabric"))
	f.net = netcfg.New(env.Kernel, emit[netcfg.Event](env.Log, "netcfg"))
	return f
}

// Run works until ctx ends. Routes stay in the kernel when it does.
func (f *Forward) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{Handler: linkServer(f), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	group.Go(func() error { return ended(ctx, f.mesh.Run(ctx)) })
	group.Go(func() error {
		select {
		case <-f.configured:
			return ended(ctx, f.net.Run(ctx))
		case <-ctx.Done():
			return nil
		}
	})
	group.Go(func() error {
		if err := server.Serve(f.env.Link); !errors.Is(err, http.ErrServerClosed) {
			return ended(ctx, err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return group.Wait()
}

// configure takes what the control half says. It is the same configuration or a whole new one.
func (f *Forward) configure(c forwardConfig, hash string, at catalogAt) error {
	cred, err := c.credential()
	if err != nil {
		return err
	}
	if err := f.mesh.Set(c.Fabric, cred); err != nil {
		return err
	}
	f.mu.Lock()
	f.config, f.hash, f.at = c, hash, at
	f.mu.Unlock()
	f.setKernel()
	f.once.Do(func() { close(f.configured) })
	return nil
}

// setRoutes is called by the mesh whenever what it reaches has changed.
func (f *Forward) setRoutes(r fabric.RouteSet) {
	f.mu.Lock()
	f.routes = r
	f.mu.Unlock()
	f.setKernel()
}

func (f *Forward) setKernel() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hash == "" {
		return
	}
	base := plan.Config{
		Device: f.env.Device.Name(), Underlay: f.underlay(), Table: f.env.Config.Fabric.Table,
		Protocol: f.env.Config.Fabric.Protocol, RulePriority: f.env.Config.Fabric.RulePriority,
	}
	base.Mark = uint32(f.env.Config.Fabric.Mark)
	if err := f.net.Set(kernelConfig(base, f.config.Fabric, f.routes, f.config.Pools)); err != nil {
		f.env.Log.Error("the kernel keeps its routes as they are", "err", err)
	}
}

// underlay names the interfaces that overlay addresses must not pass in clear.
func (f *Forward) underlay() []string {
	if names := f.env.Config.Fabric.Underlay; len(names) > 0 || f.env.Interfaces == nil {
		return names
	}
	var own []netip.Addr
	for _, r := range f.config.Fabric.Routers {
		if r.ID == f.config.Fabric.Self {
			for _, e := range r.Endpoints {
				own = append(own, e.Addr())
			}
		}
	}
	return f.env.Interfaces(own)
}

func (f *Forward) status() ForwardStatus {
	f.mu.Lock()
	hash, at := f.hash, f.at
	f.mu.Unlock()
	return ForwardStatus{Boot: f.boot, Config: hash, Catalog: at, Fabric: f.mesh.Status(), Kernel: f.net.Status()}
}

// Alive returns when the half's locks could be had: who calls it every second notices when they cannot.
func (f *Forward) Alive() { f.status() }

func (f *Forward) explain(to topo.RouterID) (fabric.Explanation, error) { return f.mesh.Explain(to) }
