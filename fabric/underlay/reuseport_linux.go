package underlay

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// maxClass has every bit of a class set.
const maxClass topo.Class = 7

// MaxReaders bounds the sockets that share the port.
const MaxReaders = 16

// A flood of data must not fill the receive buffer in which probes and QUIC arrive: starvation would look like
// silence. Sockets that are bound with SO_REUSEPORT to one port form a group, each with a buffer of its own, and
// a program in classic BPF says for each packet, or run by its first datagram, which of them gets it (socket(7),
// SO_ATTACH_REUSEPORT_CBPF). It sees the UDP payload from octet 0; a load beyond its end ends it with 0.
//
//	octet 0                            octet 2, class        octet 3, lane
//	not 129 (version 0, data)     or   control           ->  reader 0, the express
//	129                           and  another           ->  reader 1 + lane % (readers - 1)
func steering(readers int) []unix.SockFilter {
	const (
		loadOctet = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		jumpEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		modulo    = unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K
	)
	octet := func(n int, c topo.Class) uint32 { return uint32(wire.Header{Type: wire.Data, Class: c}.Append(nil)[n]) }
	return []unix.SockFilter{
		{Code: loadOctet, K: 0},
		{Code: jumpEqual, K: octet(0, 0), Jf: 7},
		{Code: loadOctet, K: 2},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: octet(2, maxClass)},
		{Code: jumpEqual, K: octet(2, topo.ClassControl), Jt: 4},
		{Code: loadOctet, K: 3},
		{Code: modulo, K: uint32(readers - 1)},
		{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: 1},
		{Code: unix.BPF_RET | unix.BPF_A},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

// steer has the kernel divide what arrives among the group of p, which has this many sockets.
func (p *port) steer(readers int) error {
	program := steering(readers)
	return p.control(func(fd int) error {
		err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
		if err != nil {
			return fmt.Errorf("attach the program that divides the port: %w", err)
		}
		return nil
	})
}

// share lets further sockets of this user bind to the port of p. It is said only when p has the port, so that
// a second daemon on the port is refused and does not take half of our packets.
func (p *port) share() error {
	return p.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// group brings the readers to the wanted number. With fewer, the reason is told and all goes on.
func group(readers []*port, o Options, short *shortfalls) []*port {
	have, want := len(readers), min(o.Readers, MaxReaders)
	refuse := func(err error) []*port {
		for _, p := range readers[have:] {
			p.Close()
		}
		short.say(ShortReaders, fmt.Errorf("%w; probes and sessions share a buffer with data, so that a flood of it looks like a broken link", err))
		return readers[:have]
	}
	if want > have {
		for _, p := range readers {
			if err := p.share(); err != nil {
				return refuse(fmt.Errorf("share the port (SO_REUSEPORT): %w", err))
			}
		}
	}
	for len(readers) < want {
		p, err := readers[0].sibling(readers[0].localPort(), o)
		if err != nil {
			return refuse(fmt.Errorf("open socket %d of %d of the port: %w", len(readers)+1, want, err))
		}
		readers = append(readers, p)
	}
	if len(readers) > 1 {
		// Also after a hand-over: the predecessor's program may be an older one.
		if err := readers[0].steer(len(readers)); err != nil {
			return refuse(err)
		}
	}
	return readers
}

func (p *port) localPort() int { return p.LocalAddr().(*net.UDPAddr).Port }

// sibling opens another socket of the same family and address as p: with the same number it joins p's group,
// with 0 it gets one of its own.
func (p *port) sibling(number int, o Options) (*port, error) {
	addr := *p.LocalAddr().(*net.UDPAddr)
	addr.Port = number
	family, err := p.family()
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if number != 0 {
		lc.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
			if cerr != nil {
				return cerr
			}
			return err
		}
	}
	c, err := lc.ListenPacket(context.Background(), family, addr.String())
	if err != nil {
		return nil, err
	}
	q, err := newPort(c.(*net.UDPConn))
	if err == nil {
		err = q.configure(o)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return q, nil
}

// family is the network's name in package net for sockets like p.
func (p *port) family() (name string, err error) {
	if !p.v6 {
		return "udp4", nil
	}
	err = p.control(func(fd int) error {
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		name = "udp6"
		if only == 0 && p.LocalAddr().(*net.UDPAddr).IP.IsUnspecified() {
			name = "udp"
		}
		return err
	})
	return name, err
}
