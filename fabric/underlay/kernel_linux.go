package underlay

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// kernel is the network of Listen: recvmmsg and sendmmsg on UDP sockets. golang.org/x/net has both,
// but makes a net.UDPAddr for every packet read, and knows no runs; here an address stays a value.
type kernel struct {
	*port         // the first reader, and lane 0
	ports []*port // all readers
	lanes []*port
	gro   bool
	gso   atomic.Bool
	short *shortfalls

	lessons atomic.Int32 // see maxLessons
	writers sync.Pool    // of *batch
}

func newKernel(readers, lanes []*port, o Options) (*kernel, error) {
	k := &kernel{port: readers[0], ports: readers, lanes: lanes, short: new(shortfalls)}
	k.writers.New = func() any { return newBatch(sendmmsg) }
	k.gro = true
	for _, p := range readers {
		gro, err := p.listen(o, k.short)
		if err != nil {
			return nil, err
		}
		k.gro = k.gro && gro
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

func (k *kernel) file() (*os.File, error) { return k.duplicate("udp " + k.LocalAddr().String()) }

func (k *kernel) SetReadDeadline(t time.Time) error {
	for _, p := range k.ports {
		if err := p.UDPConn.SetReadDeadline(t); err != nil {
			return err
		}
	}
	return nil
}
