// Package tuntest has a TUN device in memory, for worlds without a kernel, and the suite of what every
// tun.Device does.
package tuntest

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
)

// queue is how many packets wait in each direction; more are dropped, as by a device's queue.
const queue = 500

// All is what a kernel of today does.
var All = tun.Offloads{Checksum: true, TSO: true, USO: true}

// Fake is a tun.Device whose kernel is the test: Inject is what a host sends into the device, and
// Delivered what comes out of it. It may be used inside a testing/synctest bubble.
type Fake struct {
	name     string
	mtu      atomic.Int64
	offloads tun.Offloads

	in    chan tun.Packet
	out   chan []byte
	whole chan tun.Packet
	done  chan struct{} // closed by Close and Remove
	once  sync.Once
	why   error // set before done is closed

	read, written, dropped, refused, lost atomic.Uint64
}

var _ tun.Device = (*Fake)(nil)

// New makes a device that has all offloads.
func New(name string, mtu int) *Fake { return NewWith(name, mtu, All) }

// NewWith makes a device with some offloads, or none.
func NewWith(name string, mtu int, o tun.Offloads) *Fake {
	f := &Fake{
		name: name, offloads: o, done: make(chan struct{}),
		in: make(chan tun.Packet, queue), out: make(chan []byte, queue), whole: make(chan tun.Packet, queue),
	}
	f.mtu.Store(int64(mtu))
	return f
}

// Inject sends a packet into the device, as a host would. It returns false when the packet is longer
// than the MTU, the queue is full, or the device is gone.
func (f *Fake) Inject(pkt []byte) bool { return f.InjectPacket(tun.Packet{Buf: pkt}) }

// InjectPacket does so with a super-packet, or one whose checksum is partial. What the device has no
// offload for is done before, as by a kernel; false says that not all of it went in.
func (f *Fake) InjectPacket(p tun.Packet) bool {
	select {
	case <-f.done:
		return false
	default:
	}
	longest := len(p.Buf)
	if p.GSO != offload.None {
		longest = min(longest, p.Head+p.Seg)
	}
	if longest > int(f.mtu.Load()) {
		f.dropped.Add(1)
		return false
	}
	all := true
	if err := lower(p, f.offloads, func(p tun.Packet) {
		select {
		case f.in <- p:
		default:
			f.dropped.Add(1)
			all = false
		}
	}); err != nil {
		f.dropped.Add(1)
		return false
	}
	return all
}

// lower calls f with copies of what p becomes for a device that has only some offloads.
func lower(p tun.Packet, has tun.Offloads, f func(tun.Packet)) error {
	var l tun.Lowering
	p.Buf = append([]byte(nil), p.Buf...)
	if err := l.Init(p, has); err != nil {
		return err
	}
	for {
		p, ok := l.Next()
		if !ok {
			return nil
		}
		p.Buf = append([]byte(nil), p.Buf...)
		f(p)
	}
}

// Delivered has the packets that were written to the device, as they would leave the host behind it: cut,
// and with whole checksums. Those that nobody takes are dropped.
func (f *Fake) Delivered() <-chan []byte { return f.out }

// Whole has the packets and super-packets as the kernel was given them. Those that nobody takes are
// forgotten.
func (f *Fake) Whole() <-chan tun.Packet { return f.whole }

// Waiting is how many packets went in and were not read yet.
func (f *Fake) Waiting() int { return len(f.in) }

// Drops counts the packets lost in both directions.
func (f *Fake) Drops() uint64 { return f.dropped.Load() + f.lost.Load() }

// SetMTU changes the MTU, as an administrator may.
func (f *Fake) SetMTU(mtu int) { f.mtu.Store(int64(mtu)) }

// Remove is what happens when somebody deletes the interface.
func (f *Fake) Remove() { f.end(tun.ErrGone) }

// Name implements tun.Device.
func (f *Fake) Name() string { return f.name }

// Offloads implements tun.Device.
func (f *Fake) Offloads() tun.Offloads { return f.offloads }

// MTU implements tun.Device.
func (f *Fake) MTU() (int, error) {
	if err := f.ended("ask the MTU of"); err != nil {
		return 0, err
	}
	return int(f.mtu.Load()), nil
}

// Stats implements tun.Device.
func (f *Fake) Stats() (tun.Stats, error) {
	if err := f.ended("ask the counters of"); err != nil {
		return tun.Stats{}, err
	}
	return tun.Stats{
		Offloads: f.offloads, QueueLen: queue, Read: f.read.Load(), Written: f.written.Load(),
		Dropped: f.dropped.Load(), Refused: f.refused.Load(),
	}, nil
}

// ReadBatch implements tun.Device.
func (f *Fake) ReadBatch(arena []byte, pkts []tun.Packet) (int, error) {
	if len(arena) < tun.MaxPacket {
		panic(fmt.Sprintf("tuntest: an arena of %d octets; a packet needs %d", len(arena), tun.MaxPacket))
	}
	if len(pkts) == 0 {
		return 0, nil
	}
	if err := f.ended("read from"); err != nil {
		return 0, err
	}
	var p tun.Packet
	select {
	case p = <-f.in:
	case <-f.done:
		return 0, f.ended("read from")
	}
	for n := 0; ; {
		size := copy(arena, p.Buf)
		pkts[n] = tun.Packet{Buf: arena[:size:size], Meta: p.Meta}
		arena, n = arena[size:], n+1
		f.read.Add(1)
		if n == len(pkts) || len(arena) < tun.MaxPacket {
			return n, nil
		}
		select {
		case p = <-f.in:
		default:
			return n, nil
		}
	}
}

// WriteBatch implements tun.Device. Like the kernel's it writes over what it is given.
func (f *Fake) WriteBatch(pkts []tun.Packet) (int, error) {
	written := 0
	var first error
	for _, p := range pkts {
		if err := f.ended(fmt.Sprintf("write %d octets to", len(p.Buf))); err != nil {
			return written, err
		}
		if err := f.write(p); err == nil {
			written++
		} else if first == nil {
			first = fmt.Errorf("write %d octets to TUN device %s: not an IP packet: %w", len(p.Buf), f.name, err)
		}
		if p.Partial && !f.offloads.Checksum || p.GSO != offload.None && !f.offloads.TSO {
			clear(p.Buf) // so that nobody comes to rely on them
		}
	}
	return written, first
}

func (f *Fake) write(p tun.Packet) error {
	err := lower(p, f.offloads, func(p tun.Packet) {
		select {
		case f.whole <- p:
		default:
		}
	})
	switch {
	case err != nil:
	case len(p.Buf) == 0 || p.Buf[0]>>4 != 4 && p.Buf[0]>>4 != 6:
		err = fmt.Errorf("no such version of IP")
	default:
		err = lower(p, tun.Offloads{}, func(p tun.Packet) {
			select {
			case f.out <- p.Buf:
			default:
				f.lost.Add(1)
			}
		})
	}
	if err != nil {
		f.refused.Add(1)
		return err
	}
	f.written.Add(1)
	return nil
}

// Close implements tun.Device.
func (f *Fake) Close() error {
	f.end(os.ErrClosed)
	return nil
}

func (f *Fake) end(why error) {
	f.once.Do(func() {
		f.why = why
		close(f.done)
	})
}

func (f *Fake) ended(doing string) error {
	select {
	case <-f.done:
		return fmt.Errorf("%s TUN device %s: %w", doing, f.name, f.why)
	default:
		return nil
	}
}
