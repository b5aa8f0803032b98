package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// initialMTU is the TUN device's until the cluster says otherwise: the least that IPv6 allows.
const initialMTU = 1280

// open opens whatever is not in files yet: on a first start everything, after an upgrade what the new
// configuration adds. Nothing is kept when one of them fails.
func open(c config.Config, files map[string]*os.File) error {
	for _, dir := range []string{c.DataDir, c.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	steps := []struct {
		name string
		open func() (*os.File, error)
	}{
		{fdForwardUDP, func() (*os.File, error) { return openUDP("listen.forward", c.Listen.Forward, c.Fabric.Mark) }},
		{fdControlUDP, func() (*os.File, error) { return openUDP("listen.control", c.Listen.Control, 0) }},
		{fdTun, func() (*os.File, error) { return openTun(c.Fabric.Device) }},
		{fdForwardSock, func() (*os.File, error) { return openUnix(c.ForwardSocket()) }},
		{fdAdminSock, func() (*os.File, error) { return openUnix(c.AdminSocket()) }},
		{fdS3, func() (*os.File, error) { return openTCP("listen.s3", c.Listen.S3) }},
		{fdMetrics, func() (*os.File, error) { return openTCP("listen.metrics", c.Listen.Metrics) }},
	}
	var opened []string
	for _, s := range steps {
		if files[s.name] != nil {
			continue
		}
		f, err := s.open()
		if err != nil {
			for _, n := range opened {
				files[n].Close()
				delete(files, n)
			}
			return err
		}
		if f != nil {
			files[s.name] = f
			opened = append(opened, s.name)
		}
	}
	return nil
}

func openUDP(key string, addr config.Endpoint, mark int) (*os.File, error) {
	s, err := underlay.Listen(addr.AddrPort, underlay.Options{Mark: mark})
	if err != nil {
		return nil, inUse(key, addr.String(), err)
	}
	defer s.Close()
	return s.File()
}

func openTun(name string) (*os.File, error) {
	d, err := tun.Open(name, initialMTU)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.File()
}

func openTCP(key, addr string) (*os.File, error) {
	if addr == "" {
		return nil, nil
	}
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
		return nil, fmt.Errorf("%s: another galleond answers there; stop it first, or give this one a run_dir of its own", path)
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
		return fmt.Errorf("%s: %s is in use by another program; stop that one, or choose another port", key, addr)
	}
	return fmt.Errorf("%s: listen on %s: %w", key, addr, err)
}
