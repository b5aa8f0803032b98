package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// initialMTU is the TUN device's until the cluster says otherwise: the least that IPv6 allows.
const initialMTU = 1280

// What the socket that carries packets is divided into, see package underlay.
const (
	forwardReaders = 2 // one for probes and QUIC, one for data: a goroutine reads each
	forwardLanes   = 4 // a broken one of four takes a quarter of the flows with it until it is left
)

// settleFor is how long a first start waits for what is busy: the kernel takes a dead process's lock away a
// moment before its sockets and its device.
const settleFor = 2 * time.Second

// busy is an error that may pass by itself.
type busy struct{ error }

func (b busy) Unwrap() error { return b.error }

// patiently opens something, and once more for as long as it is busy and the time has not come.
func patiently(until time.Time, open func() ([]*os.File, error)) ([]*os.File, error) {
	for {
		f, err := open()
		if !errors.As(err, &busy{}) || time.Now().After(until) {
			return f, err
		}
		time.Sleep(lockPoll)
	}
}

// opening is one thing that a configuration asks for, as one descriptor or several. An empty spec asks for none.
type opening struct {
	name, spec string
	open       func() ([]*os.File, error)
}

// one makes an opening's function of one that opens a single descriptor.
func one(open func() (*os.File, error)) func() ([]*os.File, error) {
	return func() ([]*os.File, error) {
		f, err := open()
		return []*os.File{f}, err
	}
}

// forwardOptions are those of the socket that carries packets.
func forwardOptions(c config.Config) underlay.Options {
	return underlay.Options{Mark: c.Fabric.Mark, Readers: forwardReaders, Lanes: forwardLanes}
}

func openings(c config.Config) []opening {
	return []opening{
		{fdForwardUDP, fmt.Sprintf("%s mark %d", c.Listen.Forward, c.Fabric.Mark),
			func() ([]*os.File, error) { return openUDP("listen.forward", c.Listen.Forward, forwardOptions(c)) }},
		{fdControlUDP, c.Listen.Control.String(),
			func() ([]*os.File, error) { return openUDP("listen.control", c.Listen.Control, underlay.Options{}) }},
		{fdTun, c.Fabric.Device, one(func() (*os.File, error) { return openTun(c.Fabric.Device) })},
		{fdForwardSock, c.ForwardSocket(), one(func() (*os.File, error) { return openUnix(c.ForwardSocket()) })},
		{fdAdminSock, c.AdminSocket(), one(func() (*os.File, error) { return openUnix(c.AdminSocket()) })},
		{fdS3, c.Listen.S3, one(func() (*os.File, error) { return openTCP("listen.s3", c.Listen.S3) })},
		{fdMetrics, c.Listen.Metrics, one(func() (*os.File, error) { return openTCP("listen.metrics", c.Listen.Metrics) })},
	}
}

// open brings files in line with a configuration. On a first start it opens everything, or gives an error and
// keeps nothing. After an upgrade it opens what the new configuration has otherwise; what cannot be had
// stays as it was, which is told: a router that forwards on its old port is better than none.
func open(c config.Config, files map[string]held, upgraded bool, log *slog.Logger) (err error) {
	for _, dir := range []string{c.DataDir, c.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	var opened []string
	defer func() {
		if err != nil {
			for _, n := range opened {
				files[n].close()
				delete(files, n)
			}
		}
	}()
	steps := openings(c)
	if files[fdLock].file == nil {
		steps = append([]opening{{fdLock, c.DataDir, one(func() (*os.File, error) { return lock(c.DataDir) })}}, steps...)
	} else if files[fdLock].spec != c.DataDir {
		log.Error("data_dir changes with a restart, not with an upgrade", "is", files[fdLock].spec, "want", c.DataDir)
	}
	until := time.Now()
	if !upgraded {
		until = until.Add(settleFor)
	}
	for _, s := range steps {
		old, have := files[s.name]
		if have && old.spec == s.spec {
			continue
		}
		var f []*os.File
		if s.spec != "" {
			if f, err = patiently(until, s.open); err != nil && upgraded && have {
				log.Error("what was changed is not to be had; the old one stays", "is", old.spec, "want", s.spec, "err", err)
				err = nil
				continue
			}
			if err != nil {
				return err
			}
		}
		if have {
			old.close()
			delete(files, s.name)
			if s.name == fdForwardSock || s.name == fdAdminSock {
				_ = os.Remove(old.spec)
			}
		}
		if f != nil {
			files[s.name] = held{f[0], f[1:], s.spec}
			opened = append(opened, s.name)
		}
		if s.name == fdLock {
			until = time.Now().Add(settleFor) // it may itself have waited for the dead one's children
		}
	}
	return nil
}

func openUDP(key string, addr config.Endpoint, o underlay.Options) ([]*os.File, error) {
	o.NoOffload = true // whoever reads the socket turns its offloads on: quic-go, which reads control's, knows no runs
	s, err := underlay.Listen(addr.AddrPort, o)
	if err != nil {
		return nil, inUse(key, addr.String(), err)
	}
	defer s.Close()
	return s.Files()
}

func openTun(name string) (*os.File, error) {
	d, err := tun.Open(name, tun.Options{MTU: initialMTU})
	if err != nil {
		err = fmt.Errorf("fabric.device: %w", err)
		if errors.Is(err, syscall.EBUSY) {
			err = busy{err}
		}
		return nil, err
	}
	defer d.Close()
	return d.File()
}

func openTCP(key, addr string) (*os.File, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, inUse(key, addr, err)
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// openUnix takes over a socket path that a crashed daemon left behind, but not one that answers.
func openUnix(path string) (*os.File, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, busy{fmt.Errorf("%s: another galleond answers there; stop it first, or give this one a run_dir of its own", path)}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("take over %s: %w", path, err)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	defer u.Close()
	return u.File()
}

func inUse(key, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return busy{fmt.Errorf("%s: %s is in use by another program; stop that one, or choose another port", key, addr)}
	}
	return fmt.Errorf("%s: listen on %s: %w", key, addr, err)
}
