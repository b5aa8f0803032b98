package underlay

import (
	"errors"
	"net"
	"os"
)

// Wrap makes a Socket of any net.PacketConn, for simulated networks: one reader, and one datagram at a time,
// also of a run. TOS is not carried, since a net.PacketConn has no place for it. It may allocate for every
// packet. More connections are lanes 1 and up: they send, and nobody reads them. The Socket owns all and
// closes them.
func Wrap(pc net.PacketConn, lanes ...net.PacketConn) *Socket {
	return newSocket(conn{pc, lanes}, new(shortfalls))
}

// conn is the network of Wrap.
type conn struct {
	net.PacketConn
	lanes []net.PacketConn // from lane 1
}

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
		to, from := net.UDPAddrFromAddrPort(q.Addr), c.PacketConn
		if n := int(q.Lane); n > 0 && n <= len(c.lanes) {
			from = c.lanes[n-1]
		}
		for i := range q.Count() {
			if _, err := from.WriteTo(q.Datagram(i), to); err != nil {
				failed.add(Packet{Buf: q.Datagram(i), Addr: q.Addr}, err)
			}
		}
	}
	return failed.err()
}

func (c conn) offloads() Offloads         { return Offloads{} }
func (c conn) readerStats() []ReaderStats { return make([]ReaderStats, 1) }
func (c conn) buffers() (int, int)        { return 0, 0 }

func (c conn) laneCount() int { return 1 + len(c.lanes) }

// Close closes all.
func (c conn) Close() error {
	err := c.PacketConn.Close()
	for _, l := range c.lanes {
		err = errors.Join(err, l.Close())
	}
	return err
}

func (c conn) files() ([]*os.File, error) {
	return nil, errors.New("hand over a simulated socket: it has no descriptor")
}
