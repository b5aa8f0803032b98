package world

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// What a kernel does between the TUN device, the router's own sockets and the hosts behind it:
//
//	control ── to a loopback of the overlay ──▶ TUN ─▶ … ─▶ TUN ──▶ the loopback is ours: control's socket
//	host    ── Send ─────────────────────────▶ TUN ─▶ … ─▶ TUN ──▶ it is not: the host's inbox
//
// Only IPv4 has this way; what control sends to an IPv6 loopback finds no route. (One is enough to prove
// that control profits from rerouting.)

// inbox bounds the packets that wait for a host to look; what comes on top is lost.
const inbox = 64

const (
	ipv4Len, udpLen = 20, 8
	protocolUDP     = 17
)

// datagram is an IPv4 packet with a UDP datagram in it.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	p := make([]byte, ipv4Len+udpLen, ipv4Len+udpLen+len(payload))
	p[0], p[8], p[9] = 0x45, 64, protocolUDP
	binary.BigEndian.PutUint16(p[2:], uint16(cap(p)))
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	var sum uint32
	for i := 0; i < ipv4Len; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[ipv4Len:], from.Port())
	binary.BigEndian.PutUint16(p[ipv4Len+2:], to.Port())
	binary.BigEndian.PutUint16(p[ipv4Len+4:], uint16(udpLen+len(payload)))
	return append(p, payload...)
}

// opened packet: who sent it to whom, and what; ok is false for anything but UDP in IPv4.
func parseDatagram(p []byte) (from, to netip.AddrPort, payload []byte, ok bool) {
	if len(p) < ipv4Len+udpLen || p[0] != 0x45 || p[9] != protocolUDP {
		return from, to, nil, false
	}
	from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:16])), binary.BigEndian.Uint16(p[ipv4Len:]))
	to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:20])), binary.BigEndian.Uint16(p[ipv4Len+2:]))
	return from, to, p[ipv4Len+udpLen:], true
}

// withHost runs a forward half with the kernel's part of the work beside it.
func (s *Site) withHost(dev *tuntest.Fake, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var deliver sync.WaitGroup
		defer deliver.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		deliver.Go(func() {
			for {
				select {
				case p := <-dev.Delivered():
					s.deliver(p)
				case <-ctx.Done():
					return
				}
			}
		})
		return run(ctx)
	}
}

// deliver gives a packet that came out of the overlay to who it is for.
func (s *Site) deliver(p []byte) {
	from, to, payload, ok := parseDatagram(p)
	if ok && to.Port() == controlPort && s.loopback() == to.Addr() {
		_ = s.w.Net.Inject(from, s.conf.Listen.Control.AddrPort, payload)
		return
	}
	select {
	case s.inbox <- p:
	default:
	}
}

// loopback is the router's own IPv4 address in the overlay, as its kernel has it.
func (s *Site) loopback() netip.Addr {
	found, err := s.Kernel.Observe(context.Background(), plan.Scope{Device: device})
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range found.Device.Addresses {
		if a.Addr().Is4() {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// overlay sends what control writes to an address of the overlay into the TUN device. It says false for
// addresses of the underlay.
func (s *Site) overlay(b []byte, to net.Addr) (bool, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return false, nil
	}
	dst := u.AddrPort()
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	if underlayNet.Contains(dst.Addr()) {
		return false, nil
	}
	self := s.loopback()
	dev := s.dev.Load()
	if !self.Is4() || !dst.Addr().Is4() || dev == nil {
		return true, &net.OpError{Op: "write", Net: "udp", Err: syscall.ENETUNREACH}
	}
	dev.Inject(datagram(netip.AddrPortFrom(self, controlPort), dst, b))
	return true, nil
}
