package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/cmd/node"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/netcfg/kernel/kerneltest"
)

const device = "galleon0"

// Site is a data centre with one router: its machine, and the two halves while they run.
type Site struct {
	Zone   topo.Zone
	Region topo.Region
	Prefix topo.SegPrefix
	Host   netip.Addr // behind the router
	// ID and Name are the router's, once it belongs to the cluster.
	ID   topo.RouterID
	Name string
	// Revoked says that the cluster put it out; its halves may well still run.
	Revoked bool
	Admin   *admin.Client
	Kernel  *kerneltest.Fake
	TUN     *tuntest.Fake

	w       *World
	n       int
	addr    netip.Addr // on the underlay
	conf    config.Config
	disk    *vfs.MemFS
	doors   struct{ admin, s3, link *door }
	objects *http.Client
	inbox   chan []byte                  // of the host behind the router
	dev     atomic.Pointer[tuntest.Fake] // TUN, for control's goroutines
	forward *half                        // nil while it is down
	control *half
}

// Open builds a site and starts both halves of its router, which belongs to no cluster yet.
func (w *World) Open(z topo.Zone) *Site {
	w.T.Helper()
	n := len(w.sites) + 1
	s := &Site{
		Zone: z, Region: RegionOf(z), Prefix: sitePrefix(n), Host: hostAddr(n), w: w, n: n, addr: underlayAddr(n),
		conf: config.Default(), disk: vfs.NewCrashableMem(), Kernel: kerneltest.New(), inbox: make(chan []byte, inbox),
	}
	s.Kernel.AddDevice(device)
	s.doors.admin = &door{at: netip.AddrPortFrom(s.addr, 1)}
	s.doors.link = &door{at: netip.AddrPortFrom(s.addr, 2)}
	s.doors.s3 = &door{at: netip.AddrPortFrom(insideAddr(n), objectPort)}
	s.Admin = admin.NewClient(s.doors.admin.dial)
	s.objects = &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.doors.s3.dial(ctx) },
		IdleConnTimeout: 10 * time.Second,
	}}
	c := &s.conf
	c.DataDir = filepath.Join(w.T.TempDir(), "galleon")
	c.Listen.Forward.AddrPort = netip.AddrPortFrom(s.addr, forwardPort)
	c.Listen.Control.AddrPort = netip.AddrPortFrom(s.addr, controlPort)
	c.Fabric.ProbeInterval, c.Fabric.Underlay = w.Probe, []string{"eth0"}
	c.Store.MinFree, c.Store.CacheBytes = 0, 1<<20
	if err := c.Check(); err != nil {
		w.T.Fatalf("configuration of %s: %v", z, err)
	}
	if err := install(s.disk, c.DataDir); err != nil {
		w.T.Fatalf("disk of %s: %v", z, err)
	}
	for _, o := range w.sites {
		latency := rtt(z, o.Zone) / 2
		w.Net.Both(s.addr, o.addr, func(p *path) { p.Latency = latency })
	}
	w.sites = append(w.sites, s)
	s.StartForward()
	s.StartControl()
	return s
}

// install makes the daemon's directory, as a package does long before the daemon first runs: no crash takes
// it away again.
func install(disk vfs.FS, dir string) error {
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		d, err := disk.OpenDir(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil || dir == filepath.Dir(dir) {
			return err
		}
	}
}

func (s *Site) log(half string) *slog.Logger {
	return node.NewLogger(s.w.notes, s.conf.Log).With("at", s.Zone, "half", half)
}

// StartForward starts the half that carries packets.
func (s *Site) StartForward() {
	conn := &mutable{PacketConn: s.w.Net.Listen(s.conf.Listen.Forward.AddrPort)}
	link := s.doors.link.listen()
	s.TUN = tuntest.New(device, 1500)
	s.dev.Store(s.TUN)
	f := node.NewForward(node.ForwardEnv{
		Config: s.conf, Socket: underlay.Wrap(conn), Device: s.TUN, Kernel: s.Kernel, Link: link, Log: s.log("forward"),
	})
	s.forward = begin(conn, []*opened{link}, s.withHost(s.TUN, f.Run))
}

// StartControl starts the half with the disk.
func (s *Site) StartControl() {
	s.w.T.Helper()
	conn := &mutable{PacketConn: s.w.Net.Listen(s.conf.Listen.Control.AddrPort), overlay: s.overlay}
	door, objects := s.doors.admin.listen(), s.doors.s3.listen()
	c, err := node.NewControl(node.ControlEnv{
		Config: s.conf, Conn: conn, FS: s.disk, Forward: s.doors.link.dial, Admin: door, S3: objects, Log: s.log("control"),
		JoinConn:  func() (net.PacketConn, error) { return s.w.Net.Listen(s.ephemeral()), nil },
		Caller:    func(net.Conn) string { return "operator" },
		Addresses: func() []netip.Addr { return []netip.Addr{s.addr, insideAddr(s.n)} },
		Fatal:     func(err error) { s.w.seen.fatal(fmt.Errorf("control of %s: %w", s.Zone, err)) },
	})
	if err != nil {
		_ = conn.Close()
		s.w.T.Fatalf("start control of %s: %v", s.Zone, err)
	}
	s.control = begin(conn, []*opened{door, objects}, c.Run)
}

// ephemeral is where a socket of short life is.
func (s *Site) ephemeral() netip.AddrPort {
	s.w.seen.mu.Lock()
	defer s.w.seen.mu.Unlock()
	s.w.seen.ports++
	return netip.AddrPortFrom(s.addr, 32768+s.w.seen.ports%16384)
}

// StopForward ends the half that carries packets, in order.
func (s *Site) StopForward() { s.end(&s.forward, "forward") }

// StopControl ends the half with the disk, in order.
func (s *Site) StopControl() { s.end(&s.control, "control") }

func (s *Site) end(h **half, name string) {
	if *h == nil {
		return
	}
	if err := (*h).stop(); err != nil {
		s.w.T.Errorf("%s of %s ended: %v", name, s.Zone, err)
	}
	(*h).conn.Close() // the half may have closed it already
	*h = nil
}

// CrashForward kills the half that carries packets. Its device stays, as the supervisor holds it.
func (s *Site) CrashForward() {
	s.w.Note("the forward half of %s crashes", s.Zone)
	s.forward.silence()
	s.StopForward()
}

// CrashControl kills the half with the disk and cuts the power of its disk: of what was not synced a part
// is lost.
func (s *Site) CrashControl() {
	percent := s.w.rng.IntN(101)
	s.w.Note("the control half of %s crashes; %d %% of what was not synced survives", s.Zone, percent)
	s.control.silence()
	after := s.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: s.w.rng})
	s.StopControl()
	s.Admin.Close()
	s.objects.CloseIdleConnections()
	s.disk = after
}

// Join joins with a token.
func (s *Site) Join(token string) error {
	ctx, cancel := ask()
	defer cancel()
	r, err := s.Admin.ClusterJoin(ctx, admin.ClusterJoinRequest{Token: token})
	if err != nil {
		return err
	}
	s.ID, s.Name = r.Router, r.Name
	s.w.Note("%s is %s (%s)", s.Zone, r.Name, r.Router)
	return nil
}

// Status is what the router says of consensus.
func (s *Site) Status() (admin.ClusterStatusReply, error) {
	ctx, cancel := ask()
	defer cancel()
	return s.Admin.ClusterStatus(ctx, admin.ClusterStatusRequest{})
}
