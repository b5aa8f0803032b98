package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/cmd/node"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// The peers of the router whose memory is measured are whole members of its cluster: each joined by a token of its own, has its
// certificate, follows the catalog (or votes) through its own control half, and has a mesh that holds a session with keys and probes the
// link, over a real UDP socket. All of them are in one process, with disks and TUN devices in memory.
//
// Two things are not as in a cluster of that many. A peer's mesh is told of the measured router alone, and not of the other peers: all
// 5,000 links between them would be this process's business only, and would take the processors from what is measured. And probes are
// half a second apart, at both ends: a hundred routers in one process wait for a processor longer than a link may be silent at the
// default of 50 ms, and a router whose links come and go is not idle.

// peerMain runs peers until standard input ends.
func peerMain(args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	at := flags.String("at", "", "address on the underlay")
	dir := flags.String("dir", "", "directory with the tokens: 0, 1, …; the peers' identities go there too")
	count := flags.Int("count", 0, "how many")
	if err := flags.Parse(args); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(*at)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when who started this process wants
		stop()
	}()
	group, ctx := errgroup.WithContext(ctx)
	for i := range *count {
		p, err := newPeer(addr, *dir, i)
		if err != nil {
			return fmt.Errorf("peer %d: %w", i, err)
		}
		group.Go(func() error { return p.run(ctx, group) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// peerProbe is the interval of probes.
const peerProbe = 500 * time.Millisecond

// The peers' ports, one above the other.
const (
	peerForwardPort = 20000
	peerControlPort = 30000
)

// peer is a router in this process.
type peer struct {
	conf    config.Config
	mesh    *fabric.Mesh
	control *node.Control
	link    net.Listener // between its halves

	mu   sync.Mutex
	last linkStatus
}

func newPeer(addr netip.Addr, dir string, i int) (*peer, error) {
	p := &peer{conf: config.Default()}
	p.conf.Listen.Forward.AddrPort = netip.AddrPortFrom(addr, uint16(peerForwardPort+i))
	p.conf.Listen.Control.AddrPort = netip.AddrPortFrom(addr, uint16(peerControlPort+i))
	p.conf.Listen.S3, p.conf.Listen.Metrics = "", ""
	p.conf.Store.CacheBytes, p.conf.Store.MinFree = 1<<20, 0
	p.conf.DataDir = filepath.Join(dir, fmt.Sprintf("peer-%d", i))
	p.conf.JoinTokenFile = filepath.Join(dir, fmt.Sprint(i))
	socket, err := underlay.Listen(p.conf.Listen.Forward.AddrPort, underlay.Options{})
	if err != nil {
		return nil, err
	}
	p.mesh = fabric.New(fabric.Env{Socket: socket, Device: tuntest.New("galleon0", underMTU), ProbeInterval: peerProbe})
	if p.link, err = net.Listen("unix", filepath.Join(dir, fmt.Sprintf("link-%d", i))); err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.conf.Listen.Control.AddrPort))
	if err != nil {
		return nil, err
	}
	disk := vfs.NewMem()
	if err := disk.MkdirAll(p.conf.DataDir, 0o700); err != nil {
		return nil, err
	}
	p.control, err = node.NewControl(node.ControlEnv{
		Config: p.conf, Conn: conn, FS: disk, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Forward: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.link.Addr().String())
		},
		Caller:    func(net.Conn) string { return "bench" },
		Addresses: func() []netip.Addr { return []netip.Addr{addr} },
		Fatal:     func(err error) { fmt.Fprintf(os.Stderr, "peer %d: %v\n", i, err); os.Exit(exitFailed) },
	})
	return p, err
}

func (p *peer) run(ctx context.Context, group *errgroup.Group) error {
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: time.Minute}
	group.Go(func() error { return p.mesh.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	group.Go(func() error {
		if err := server.Serve(p.link); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return p.control.Run(ctx)
}

// linkStatus is what a control half wants to hear of its forward half (cmd/node/link.go).
type linkStatus struct {
	Boot    string `json:"boot"`
	Config  string `json:"config"` // hash of what it was given
	Catalog struct {
		Incarnation json.Number `json:"incarnation,omitempty"`
		Index       json.Number `json:"index,omitempty"`
	} `json:"catalog"`
	Fabric fabric.Status `json:"fabric"`
}

// handler is the forward half as its control sees it: what it is told of routers other than the first is left out.
func (p *peer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		status := p.last
		p.mu.Unlock()
		status.Boot, status.Fabric = "bench", p.mesh.Status()
		_ = json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("PUT /config", func(w http.ResponseWriter, r *http.Request) {
		if err := p.configure(r); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (p *peer) configure(r *http.Request) error {
	const most = 32 << 20
	b, err := io.ReadAll(io.LimitReader(r.Body, most))
	if err != nil {
		return err
	}
	var c struct {
		Fabric     fabric.Config `json:"fabric"`
		Key, Chain []byte
		Grace      time.Duration
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	key, err := keys.ParsePrivate(c.Key)
	if err != nil {
		return err
	}
	chain, err := keys.ParseChain(c.Chain)
	if err != nil {
		return err
	}
	const measured = topo.RouterID(1) // who founded the cluster
	c.Fabric.Routers = slices.DeleteFunc(c.Fabric.Routers, func(r fabric.Router) bool { return r.ID != measured && r.ID != c.Fabric.Self })
	if err := p.mesh.Set(c.Fabric, &keys.Credential{Key: key, Chain: chain, Grace: c.Grace}); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Config = hex.EncodeToString(sum[:8])
	p.last.Catalog.Incarnation, p.last.Catalog.Index = json.Number(r.URL.Query().Get("incarnation")), json.Number(r.URL.Query().Get("index"))
	return nil
}
