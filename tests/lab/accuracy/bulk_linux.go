package accuracy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// superPackets: a TCP transfer through loss, reordering and duplication arrives byte for byte, over IPv4 and IPv6, while
// super-packets are cut; and UDP super-packets arrive as the datagrams that they stand for.
func superPackets(ctx context.Context, b *bench) (rows []Row, err error) {
	for _, c := range []struct {
		name string
		to   netip.Addr
	}{{"IPv4", b4}, {"IPv6", b6}} {
		if err := b.set("rtt=4ms rate=1gbit loss=0.1% reorder=0.1% duplicate=0.1%"); err != nil {
			return nil, err
		}
		const size = 32 << 20
		before := b.stats().Sites[0]
		same, err := transfer(ctx, b, c.to, size)
		if err != nil {
			return nil, err
		}
		after := b.stats().Sites[0]
		rows = append(rows, Row{"32 MiB of TCP over " + c.name + " through loss", "identical", map[bool]string{true: "identical", false: "different"}[same], "identical", same},
			between("super-packets cut on the way", "some", float64(after.Parts-before.Parts), 10, 1e9, ""))
		if err := b.set("rtt=4ms loss=5%"); err != nil {
			return nil, err
		}
		r, err := segmented(ctx, b, c.to)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// transfer sends pseudo-random bytes and compares hashes.
func transfer(ctx context.Context, b *bench, to netip.Addr, size int64) (same bool, err error) {
	l, err := b.b.Listen("tcp", netip.AddrPortFrom(to, 7001).String())
	if err != nil {
		return false, err
	}
	defer l.Close()
	got := make(chan hash.Hash, 1)
	go func() {
		h := sha256.New()
		if c, err := l.Accept(); err == nil {
			io.Copy(h, c)
			c.Close()
		}
		got <- h
	}()
	c, err := b.a.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		return false, err
	}
	want := sha256.New()
	_, err = io.CopyN(io.MultiWriter(c, want), rand.NewChaCha8([32]byte{1}), size)
	c.Close()
	if err != nil {
		return false, err
	}
	select {
	case h := <-got:
		return [32]byte(h.Sum(nil)) == [32]byte(want.Sum(nil)), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// segmented sends UDP super-packets (UDP_SEGMENT) of numbered datagrams.
func segmented(ctx context.Context, b *bench, to netip.Addr) ([]Row, error) {
	const size, segments, bursts = 1200, 40, 100
	in, err := b.b.ListenPacket("udp", netip.AddrPortFrom(to, 7002).String())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	in.(*net.UDPConn).SetReadBuffer(4 << 20)
	out, err := b.a.Dial(ctx, "udp", netip.AddrPortFrom(to, 7002).String())
	if err != nil {
		return nil, err
	}
	defer out.Close()
	raw, err := out.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var optErr error
	raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	})
	if optErr != nil {
		return nil, fmt.Errorf("UDP_SEGMENT: %w", optErr)
	}
	var good, bad atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 64<<10)
		for {
			n, _, err := in.ReadFrom(p)
			if err != nil {
				return
			}
			if n == size && whole(p[:n]) {
				good.Add(1)
			} else {
				bad.Add(1)
			}
		}
	}()
	before := b.stats().Path("a", "b").Counters
	p := make([]byte, size*segments)
	for i := range bursts {
		for s := range segments {
			number(p[s*size:(s+1)*size], uint64(i*segments+s))
		}
		if _, err := out.Write(p); err != nil {
			return nil, err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
	in.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-done
	after := b.stats().Path("a", "b").Counters
	lost := float64(after.Lost - before.Lost)
	return []Row{
		between("UDP datagrams in super-packets to "+to.String(), fmt.Sprint(bursts*segments), float64(after.Sent-before.Sent), bursts*segments, bursts*segments+10, ""),
		between("arrived whole, but for those lost", fmt.Sprint(bursts*segments-int(lost)), float64(good.Load()), bursts*segments-lost, bursts*segments-lost, ""),
		between("arrived damaged", "0", float64(bad.Load()), 0, 0, ""),
	}, nil
}

// number fills a datagram with bytes that follow from its number, and whole checks them.
func number(p []byte, n uint64) {
	binary.BigEndian.PutUint64(p, n)
	for i := 8; i < len(p); i++ {
		p[i] = byte(n + uint64(i))
	}
}

func whole(p []byte) bool {
	q := make([]byte, len(p))
	number(q, binary.BigEndian.Uint64(p))
	return string(p) == string(q)
}

// oceanTCP: 1 Gbit/s of TCP over 200 ms, in the last seconds when it has reached its speed.
func oceanTCP(ctx context.Context, b *bench) ([]Row, error) {
	if err := b.set("rtt=200ms rate=1gbit queue=32MB"); err != nil {
		return nil, err
	}
	const flows, warmup, measure = 4, 4 * time.Second, 4 * time.Second
	l, err := b.b.Listen("tcp", netip.AddrPortFrom(b4, 7003).String())
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var received atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				p := make([]byte, 256<<10)
				for {
					n, err := c.Read(p)
					received.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
		}
	})
	defer all.Wait()
	defer l.Close()
	for range flows {
		c, err := b.a.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		defer c.(*net.TCPConn).SetLinger(0)
		defer c.Close()
		all.Go(func() {
			p := make([]byte, 256<<10)
			for {
				if _, err := c.Write(p); err != nil {
					return
				}
			}
		})
	}
	if err := pause(ctx, warmup); err != nil {
		return nil, err
	}
	w, bytes, began := b.watch(), received.Load(), time.Now()
	if err := pause(ctx, measure); err != nil {
		return nil, err
	}
	took := time.Since(began)
	mbit := 8 * float64(received.Load()-bytes) / took.Seconds() / 1e6
	// 1 Gbit/s of IP is 965 Mbit/s of TCP payload in 1,500-byte packets with time stamps.
	// A receiver that was kept waiting catches up in the next moment, so more than the rate can be seen for a while.
	return append([]Row{between("TCP payload, 4 flows", "965 Mbit/s", mbit, 850, 1060, " Mbit/s")},
		w.stop()...), nil
}

// singles: packets that come one at a time, as a tunnel without segmentation offload sends them, cost the network's thread
// so much each, and none is lost.
func singles(ctx context.Context, b *bench) ([]Row, error) {
	if err := b.set("rtt=200ms"); err != nil {
		return nil, err
	}
	const mbit, size = 300.0, 1400
	w := b.watch()
	r, err := stream(ctx, b, lab.StreamConfig{Rate: mbit * 1e6 / 8 / (size + ip4 + udp), For: 2 * time.Second, Size: size})
	if err != nil {
		return nil, err
	}
	rows := w.stop()
	perPacket := w.cpu / time.Duration(max(1, r.Sent))
	return append([]Row{
		between("single packets lost", "0", float64(r.Sent-r.Received-r.Overrun), 0, 0, ""),
		near("processor time for each", 0, perPacket, 40*time.Microsecond),
	}, rows...), nil
}
