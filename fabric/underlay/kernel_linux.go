package underlay

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// kernel is the network of Listen: recvmmsg and sendmmsg on UDP sockets. golang.org/x/net has both,
// but makes a net.UDPAddr for every packet read, and knows no runs; here an address stays a value.
type kernel struct {
	*port         // the first reader
	ports []*port // the readers
	lanes []*port // lane 0 is the first reader
	gro   bool
	gso   atomic.Bool
	short *shortfalls

	lessons atomic.Int32 // see maxLessons
	writers sync.Pool    // of *batch
}

// newKernel takes sockets in the order of files. It owns them when there is no error.
func newKernel(conns []*net.UDPConn, o Options) (*kernel, error) {
	k := &kernel{short: new(shortfalls), gro: true}
	k.writers.New = func() any { return newBatch(sendmmsg) }
	for _, c := range conns {
		p, err := newPort(c)
		if err != nil {
			return nil, err
		}
		if err := p.configure(o); err != nil {
			return nil, err
		}
		if k.port == nil {
			k.port = p
			k.lanes = append(k.lanes, p)
		}
		if p.localPort() == k.localPort() {
			k.ports = append(k.ports, p)
		} else {
			k.lanes = append(k.lanes, p)
		}
	}
	k.ports = group(k.ports, o, k.short)
	k.lanes = moreLanes(k.lanes, o, k.short)
	for _, p := range k.ports {
		k.gro = p.listen(o, k.short) && k.gro
	}
	if !o.NoOffload {
		if err := k.segments(); err != nil {
			k.short.say(ShortGSO, fmt.Errorf("ask for runs to send: %w; datagrams are sent one by one, which costs throughput; Linux 4.18 or newer has it", err))
		} else {
			k.gso.Store(true)
		}
	}
	return k, nil
}

func (k *kernel) readers() int { return len(k.ports) }

func (k *kernel) read(reader int, p []Packet) (n, cut int, err error) { return k.ports[reader].read(p) }

// lane is the socket that a lane is sent from.
func (k *kernel) lane(n uint8) *port {
	if int(n) < len(k.lanes) {
		return k.lanes[n]
	}
	return k.port
}

func (k *kernel) offloads() Offloads { return Offloads{Segment: k.gso.Load(), Coalesce: k.gro} }

func (k *kernel) readerStats() []ReaderStats {
	st := make([]ReaderStats, len(k.ports))
	for i, p := range k.ports {
		st[i] = p.stats()
	}
	return st
}

func (k *kernel) buffers() (int, int) { return k.readBuf, k.writeBuf }

func (k *kernel) laneCount() int { return len(k.lanes) }

// Close closes everything. The port is free when those are closed, too, that were handed over.
func (k *kernel) Close() error {
	var errs error
	for _, p := range slices.Concat(k.ports, k.lanes[1:]) {
		errs = errors.Join(errs, p.Close())
	}
	return errs
}

func (k *kernel) SetReadDeadline(t time.Time) error {
	for _, p := range k.ports {
		if err := p.UDPConn.SetReadDeadline(t); err != nil {
			return err
		}
	}
	return nil
}
