package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/cmd/node"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/netcfg/kernel"
)

func newLogger(c config.Log) *slog.Logger { return node.NewLogger(os.Stderr, c) }

// runForward is the process that carries packets.
func runForward(c config.Config, files map[string]held) error {
	renice(niceForward)
	log := newLogger(c.Log).With("process", roleForward)
	udp, err := needAll(files, fdForwardUDP)
	if err != nil {
		return err
	}
	socket, err := underlay.FromFiles(udp, forwardOptions(c))
	if err != nil {
		return err
	}
	f, err := need(files, fdTun)
	if err != nil {
		return err
	}
	device, err := tun.FromFile(f)
	if err != nil {
		return err
	}
	if o := device.Offloads(); !o.Checksum || !o.TSO || !o.USO {
		log.Warn("the TUN device lacks offloads, so packets cost more; they need Linux 6.2, and a device that this galleond made (restart it, an upgrade keeps the old one)",
			"device", device.Name(), "checksum", o.Checksum, "tso", o.TSO, "uso", o.USO)
	}
	link, err := listener(files, fdForwardSock)
	if err != nil {
		return err
	}
	k, err := kernel.Open(kernel.Options{})
	if err != nil {
		return err
	}
	defer k.Close()
	half := node.NewForward(node.ForwardEnv{
		Config: c, Socket: socket, Device: device, Kernel: k, Link: link, Interfaces: interfacesWith, Log: log,
	})
	return untilTold(files, half)
}

// runControl is the process with the disk. It gives up its privileges over the network first.
func runControl(c config.Config, files map[string]held) error {
	renice(niceControl)
	log := newLogger(c.Log).With("process", roleControl)
	if err := dropCapabilities(); err != nil {
		log.Warn("privileges kept", "err", err)
	}
	f, err := need(files, fdControlUDP)
	if err != nil {
		return err
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("take over the control socket: %w", err)
	}
	admin, err := listener(files, fdAdminSock)
	if err != nil {
		return err
	}
	env := node.ControlEnv{
		Config: c, Conn: pc, Admin: admin, Caller: account, Addresses: addresses(c.Fabric.Device), Log: log, Fatal: fatal(log),
		Forward: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.ForwardSocket())
		},
	}
	for name, l := range map[string]*net.Listener{fdS3: &env.S3, fdMetrics: &env.Metrics} {
		if _, ok := files[name]; ok {
			if *l, err = listener(files, name); err != nil {
				return err
			}
		}
	}
	half, err := node.NewControl(env)
	if err != nil {
		return err
	}
	return untilTold(files, half)
}

// half is what both processes have in common.
type half interface {
	Run(context.Context) error
	// Alive returns when the half is well enough to answer.
	Alive()
}

// beatPeriod is how often a child says that it lives.
const beatPeriod = time.Second

// untilTold runs a half until SIGTERM, saying that it lives for as long as it does.
func untilTold(files map[string]held, h half) error {
	defer runtime.KeepAlive(files) // some are only there to be open
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	status, err := need(files, fdStatus)
	if err != nil {
		return err
	}
	var beating sync.WaitGroup
	defer beating.Wait()
	done := make(chan struct{})
	defer close(done)
	beating.Go(func() {
		t := time.NewTicker(beatPeriod)
		defer t.Stop()
		for {
			h.Alive()
			if _, err := status.WriteString("alive\n"); err != nil {
				return
			}
			select {
			case <-t.C:
			case <-done:
				return
			}
		}
	})
	if err := h.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// fatal ends the process at once: what it acknowledged is on the disk or will never be, and the
// supervisor starts it again.
func fatal(log *slog.Logger) func(error) {
	return func(err error) {
		log.Error("fatal; the process ends and is started again", "err", err)
		os.Exit(3)
	}
}

func listener(files map[string]held, name string) (net.Listener, error) {
	f, err := need(files, name)
	if err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over %s: %w", name, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the path is the supervisor's
	}
	return l, nil
}

// account names who is at the other end of a Unix socket.
func account(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return "local"
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return "local"
	}
	name := "local"
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		name = "uid " + strconv.Itoa(int(cred.Uid))
		if a, err := user.LookupId(strconv.Itoa(int(cred.Uid))); err == nil {
			name = a.Username
		}
	})
	return name
}

// addresses lists what others may reach this machine at: global addresses of interfaces that are up, but
// not those of the overlay's own device.
func addresses(device string) func() []netip.Addr {
	return func() []netip.Addr {
		var out []netip.Addr
		eachAddress(func(i net.Interface, a netip.Addr) {
			if i.Name != device && i.Flags&net.FlagUp != 0 && a.IsGlobalUnicast() && !a.IsLoopback() {
				out = append(out, a)
			}
		})
		return out
	}
}

// interfacesWith names the interfaces that have one of the addresses.
func interfacesWith(want []netip.Addr) []string {
	var out []string
	eachAddress(func(i net.Interface, a netip.Addr) {
		for _, w := range want {
			if a == w && (len(out) == 0 || out[len(out)-1] != i.Name) {
				out = append(out, i.Name)
			}
		}
	})
	return out
}

func eachAddress(f func(net.Interface, netip.Addr)) {
	list, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					f(i, ip.Unmap())
				}
			}
		}
	}
}
