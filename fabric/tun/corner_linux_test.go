package tun_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

// option is what a socket is made with, to have its packets look otherwise.
type option struct {
	name  string
	v6    bool // for IPv6 alone, or for IPv4 alone
	v4    bool
	level int
	opt   int
	value string
}

var pad = "\x00\x00\x01\x04\x00\x00\x00\x00" // an IPv6 extension header with nothing in it (PadN)

var options = []option{
	{name: "plain", v4: true, v6: true, level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE, value: "\x00\x00\x00\x00"},
	{name: "IP options", v4: true, level: unix.IPPROTO_IP, opt: unix.IP_OPTIONS, value: "\x01\x01\x01\x01\x01\x01\x01\x00"},
	{name: "hop-by-hop options", v6: true, level: unix.IPPROTO_IPV6, opt: unix.IPV6_HOPOPTS, value: pad},
	{name: "destination options", v6: true, level: unix.IPPROTO_IPV6, opt: unix.IPV6_DSTOPTS, value: pad + pad},
	{name: "no checksum", v4: true, level: unix.SOL_SOCKET, opt: unix.SO_NO_CHECK, value: "\x01\x00\x00\x00"},
	{name: "no checksum", v6: true, level: unix.IPPROTO_UDP, opt: unix.UDP_NO_CHECK6_TX, value: "\x01\x00\x00\x00"},
	{name: "traffic class", v4: true, level: unix.IPPROTO_IP, opt: unix.IP_TOS, value: "\xb9\x00\x00\x00"},
	{name: "traffic class", v6: true, level: unix.IPPROTO_IPV6, opt: unix.IPV6_TCLASS, value: "\xb9\x00\x00\x00"},
}

func (o option) control(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = unix.SetsockoptString(int(fd), o.level, o.opt, o.value) })
	if inner != nil {
		return fmt.Errorf("set %s: %w", o.name, inner)
	}
	return err
}

// Whatever a host sends arrives as it was sent, with any offloads at either end.
func TestCornersOfTwoStacks(t *testing.T) {
	for _, ka := range pairKernels {
		for _, kb := range pairKernels {
			t.Run(ka.name+" to "+kb.name, func(t *testing.T) {
				p := newPair(t, ka.k, kb.k)
				for _, at := range []netip.Addr{hostB4, hostB6} {
					l, u := p.listen(t, at)
					if at.Is6() {
						receiveWithoutChecksum(t, u)
					}
					for _, o := range options {
						if at.Is4() && !o.v4 || at.Is6() && !o.v6 {
							continue
						}
						if o.name != "no checksum" {
							carryTCP(t, l, o)
						}
						carryUDP(t, u, o)
					}
				}
				if s := p.supers.Load(); (s > 0) != (ka.k.most.TSO && !ka.k.o.NoOffload || kb.k.most.TSO && !kb.k.o.NoOffload) {
					t.Errorf("%d super-packets", s)
				}
			})
		}
	}
}

func receiveWithoutChecksum(t *testing.T, u *net.UDPConn) {
	t.Helper()
	c, err := u.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	o := option{name: "receive without checksum", level: unix.IPPROTO_UDP, opt: unix.UDP_NO_CHECK6_RX, value: "\x01\x00\x00\x00"}
	if err := o.control("", "", c); err != nil {
		t.Fatal(err)
	}
}

// carryTCP sends a megabyte there and back.
func carryTCP(t *testing.T, l *net.TCPListener, o option) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sent := make([]byte, 1<<20+rand.IntN(2000))
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	go func() { // ends with the connection
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	d := net.Dialer{Control: o.control}
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("TCP, %s: %v", o.name, err)
	}
	defer c.Close()
	end, _ := ctx.Deadline()
	c.SetDeadline(end)
	go func() { // ends with the connection
		c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("TCP, %s, to %s: sent %d octets, got %d back, %v", o.name, l.Addr(), len(sent), len(got), err)
	}
}

// carryUDP sends datagrams of all sizes, fragments among them, and rows of them (UDP_SEGMENT).
func carryUDP(t *testing.T, u *net.UDPConn, o option) {
	t.Helper()
	d := net.Dialer{Control: o.control}
	c, err := d.DialContext(t.Context(), "udp", u.LocalAddr().String())
	if err != nil {
		t.Fatalf("UDP, %s: %v", o.name, err)
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct{ size, seg int }{
		{0, 0}, {1, 0}, {2, 0}, {3, 0}, {7, 0}, {100, 0}, {999, 0}, {1300, 0}, {1352, 0}, {1372, 0},
		{1400, 0}, {3000, 0}, {3001, 0}, {20000, 0}, // fragments
		{10 * 1200, 1200}, {10*1200 + 1, 1200}, {50*1000 + 999, 1000}, {64 * 7, 7}, {3, 1}, {100, 1200},
	} {
		if s.seg > 0 && o.name == "no checksum" {
			continue // the kernel refuses that itself
		}
		sent := make([]byte, s.size)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		var inner error
		raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, s.seg) })
		if inner != nil {
			t.Fatal(inner)
		}
		if _, err := c.Write(sent); err != nil {
			t.Fatalf("UDP, %s: send %+v: %v", o.name, s, err)
		}
		seg := s.seg
		if seg == 0 {
			seg = max(1, s.size)
		}
		u.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 1<<16)
		for rest := sent; ; {
			want := rest[:min(seg, len(rest))]
			rest = rest[len(want):]
			n, _, err := u.ReadFrom(buf)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("UDP, %s, to %s, of %+v: got %d octets, want %d, %v", o.name, u.LocalAddr(), s, n, len(want), err)
			}
			if len(rest) == 0 {
				break
			}
		}
	}
}

// A local stack gives super-packets that are no longer than was asked for, and not much shorter.
func TestMaxSuper(t *testing.T) {
	for _, octets := range []int{20000, 62000} {
		t.Run(fmt.Sprint(octets), func(t *testing.T) {
			p := newPair(t, kernelOf{tun.Options{MaxSuper: octets}, tuntest.All}, kernelOf{tun.Options{}, tuntest.All})
			for _, at := range []netip.Addr{hostB4, hostB6} {
				l, _ := p.listen(t, at)
				p.longest.Store(0)
				for range 8 {
					carryTCP(t, l, options[0])
				}
				if got := int(p.longest.Load()); got > octets || got < octets*2/3 {
					t.Errorf("asked for super-packets of at most %d octets to %s, got %d", octets, at, got)
				}
			}
			if s, err := p.a.Stats(); err != nil || s.MaxSuper != octets {
				t.Errorf("stats %+v, %v", s, err)
			}
		})
	}
}
