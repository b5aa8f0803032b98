package underlay

import (
	"errors"
	"net"
	"os"
)

// Wrap makes a Socket of any net.PacketConn, for simulated networks: one reader, and one datagram at a time,
// also of a run. Lane and TOS are not carried, since a net.PacketConn has no place for them. It may allocate
// for every packet. The Socket owns pc and closes it.
func Wrap(pc net.PacketConn) *Socket { return newSocket(conn{pc}, new(shortfalls)) }

// conn is the network of Wrap.
type conn struct{ net.PacketConn }

func (c conn) readers() int { return 1 }

func (c conn) read(_ int, p []Packet) (n, cut int, err error) {
	b := p[0].Buf[:cap(p[0].Buf)]
	n, from, err := c.ReadFrom(b)
	if err != nil {
		return 0, 0, err
	}
	if n == len(b) { // ReadFrom does not tell whether there was more
		return 0, 1, nil
	}
	p[0] = Packet{Buf: b[:n], Addr: addrPort(from)}
	return 1, 0, nil
}

func (c conn) write(p []Packet) error {
	var failed failures
	for _, q := range p {
		if IsVirtual(q.Addr) {
			failed.add(q, errVirtual)
			continue
		}
		to := net.UDPAddrFromAddrPort(q.Addr)
		for i := range q.Count() {
			if _, err := c.WriteTo(q.Datagram(i), to); err != nil {
				failed.add(Packet{Buf: q.Datagram(i), Addr: q.Addr}, err)
			}
		}
	}
	return failed.err()
}

func (c conn) offloads() Offloads         { return Offloads{} }
func (c conn) readerStats() []ReaderStats { return make([]ReaderStats, 1) }
func (c conn) buffers() (int, int)        { return 0, 0 }

func (c conn) laneCount() int { return 1 }

func (c conn) files() ([]*os.File, error) {
	return nil, errors.New("hand over a simulated socket: it has no descriptor")
}
