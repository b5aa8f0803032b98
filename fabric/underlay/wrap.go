package underlay

import (
	"errors"
	"net"
	"net/netip"
	"os"
)

// Wrap makes a Socket of any net.PacketConn, one datagram at a time: for simulated networks. It may
// allocate for every packet. The Socket owns pc and closes it.
func Wrap(pc net.PacketConn) *Socket { return newSocket(conn{pc}) }

// conn is the network of Wrap.
type conn struct{ net.PacketConn }

func (c conn) read(p []Packet) (int, error) {
	b := p[0].Buf[:cap(p[0].Buf)]
	n, from, err := c.ReadFrom(b)
	if err != nil {
		return 0, err
	}
	p[0].Buf, p[0].Addr = b[:n], addrPort(from)
	if n == len(b) { // ReadFrom does not tell whether there was more
		p[0].Addr = netip.AddrPort{}
	}
	return 1, nil
}

func (c conn) write(p []Packet) error {
	var failed failures
	for _, q := range p {
		if IsVirtual(q.Addr) {
			failed.add(q, errVirtual)
		} else if _, err := c.WriteTo(q.Buf, net.UDPAddrFromAddrPort(q.Addr)); err != nil {
			failed.add(q, err)
		}
	}
	return failed.err()
}

func (c conn) kernelDrops() uint64 { return 0 }
func (c conn) buffers() (int, int) { return 0, 0 }

func (c conn) file() (*os.File, error) {
	return nil, errors.New("hand over a simulated socket: it has no descriptor")
}
