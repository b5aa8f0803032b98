package tun_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

// A tunnel in one process, for measurements: every segment is sealed and opened as often as makes it the
// bottleneck that a tunnel is, in one goroutine for each direction, and comes out delay later.
type tunnel struct {
	aead  cipher.AEAD
	delay time.Duration
}

// seals is how often a segment is sealed and opened: about what the rest of a tunnel costs besides.
const seals = 2

func newTunnel(b *testing.B, delay time.Duration, o tun.Options) *pair {
	b.Helper()
	k := kernelOf{o, tuntest.All}
	p := devicesOf(b, k, k)
	// The window of a flow shall not be what bounds it.
	wide := func() {
		for _, f := range []string{"tcp_rmem", "tcp_wmem"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+f, []byte("4096 131072 100000000"), 0); err != nil {
				b.Log(err)
			}
		}
	}
	wide()
	p.inB(wide)
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	b.Cleanup(func() { p.a.Close(); p.b.Close(); running.Wait() })
	w := tunnel{aead, delay}
	running.Go(func() { w.carry(p.a, p.b) })
	running.Go(func() { w.carry(p.b, p.a) })
	return p
}

// carry ends when the device that it reads is closed.
func (w tunnel) carry(from, to *tun.Kernel) {
	arena, pkts := make([]byte, 4*tun.MaxPacket), make([]tun.Packet, 64)
	sealed, nonce := make([]byte, 0, 2048), make([]byte, 12)
	out, end := w.delayed(to)
	defer end()
	for {
		n, err := from.ReadBatch(arena, pkts)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		for _, p := range pkts[:n] {
			for b := p.Buf; len(b) > 0; {
				part := b[:min(len(b), mtu)]
				b = b[len(part):]
				for range seals {
					sealed = w.aead.Seal(sealed[:0], nonce, part, nil)
					w.aead.Open(part[:0], nonce, sealed, nil)
				}
			}
		}
		out(pkts[:n])
	}
}

// delayed returns what writes packets to a device after the delay of the tunnel.
func (w tunnel) delayed(to *tun.Kernel) (out func([]tun.Packet), end func()) {
	if w.delay == 0 {
		return func(pkts []tun.Packet) { to.WriteBatch(pkts) }, func() {}
	}
	type late struct {
		due  time.Time
		pkts []tun.Packet
	}
	queue, done := make(chan late, 1<<16), make(chan struct{})
	go func() {
		defer close(done)
		for l := range queue {
			<-time.After(time.Until(l.due))
			to.WriteBatch(l.pkts)
		}
	}()
	return func(pkts []tun.Packet) {
		l := late{due: time.Now().Add(w.delay)}
		for _, p := range pkts {
			p.Buf = slices.Clone(p.Buf)
			l.pkts = append(l.pkts, p)
		}
		queue <- l
	}, func() { close(queue); <-done }
}

// sink counts what arrives over TCP, and sends datagrams back.
func (p *pair) sink(b *testing.B) (tcp, udp net.Addr, octets *atomic.Int64) {
	b.Helper()
	l, u := p.listen(b, hostB4)
	octets = new(atomic.Int64)
	go func() { // ends when the listener is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 1<<18)
				for {
					n, err := c.Read(buf)
					octets.Add(int64(n))
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	go func() { // ends when the socket is closed
		buf := make([]byte, 2048)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			u.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	return l.Addr(), u.LocalAddr(), octets
}

// greedy sends over a connection as fast as it can.
func greedy(b *testing.B, c net.Conn) {
	b.Cleanup(func() { c.Close() })
	go io.Copy(c, endless{}) // ends with the connection
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// pings sends one every 3 ms for d, and returns how long each took.
func pings(b *testing.B, to net.Addr, d time.Duration) (rtt []time.Duration, lost int) {
	b.Helper()
	c, err := net.Dial("udp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			rtt = append(rtt, time.Duration(time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(buf))))
		}
	}()
	sent := 0
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		c.Write(binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixNano())))
		sent++
	}
	c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	<-done
	return rtt, sent - len(rtt)
}

// milliseconds is a quantile.
func milliseconds(d []time.Duration, percent int) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, len(d)*percent/100)].Microseconds()) / 1000
}
