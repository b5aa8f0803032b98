// Package tuntest has a TUN device in memory, for worlds without a kernel, and the suite of what every
// tun.Device does.
package tuntest

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/galleon-net/galleon/fabric/tun"
)

// queue is how many packets wait in each direction; more are dropped, as by a device's queue.
const queue = 500

// Fake is a tun.Device whose kernel is the test: Inject is what a host sends into the device, and
// Delivered what comes out of it. It may be used inside a testing/synctest bubble.
type Fake struct {
	name string
	mtu  atomic.Int64

	in, out chan []byte
	done    chan struct{} // closed by Close and Remove
	once    sync.Once
	why     error // set before done is closed
	drops   atomic.Uint64
}

var _ tun.Device = (*Fake)(nil)

// New makes a device.
func New(name string, mtu int) *Fake {
	f := &Fake{name: name, in: make(chan []byte, queue), out: make(chan []byte, queue), done: make(chan struct{})}
	f.mtu.Store(int64(mtu))
	return f
}

// Inject sends a packet into the device, as a host would. It returns false when the packet is longer
// than the MTU, the queue is full, or the device is gone.
func (f *Fake) Inject(pkt []byte) bool {
	select {
	case <-f.done:
		return false
	default:
	}
	if len(pkt) > int(f.mtu.Load()) {
		f.drops.Add(1)
		return false
	}
	select {
	case f.in <- append([]byte(nil), pkt...):
		return true
	default:
		f.drops.Add(1)
		return false
	}
}

// Delivered has the packets that were written to the device. Those that nobody takes are dropped.
func (f *Fake) Delivered() <-chan []byte { return f.out }

// Drops counts the packets lost in both directions.
func (f *Fake) Drops() uint64 { return f.drops.Load() }

// SetMTU changes the MTU, as an administrator may.
func (f *Fake) SetMTU(mtu int) { f.mtu.Store(int64(mtu)) }

// Remove is what happens when somebody deletes the interface.
func (f *Fake) Remove() { f.end(tun.ErrGone) }

// Name implements tun.Device.
func (f *Fake) Name() string { return f.name }

// MTU implements tun.Device.
func (f *Fake) MTU() (int, error) {
	if err := f.ended("ask the MTU of"); err != nil {
		return 0, err
	}
	return int(f.mtu.Load()), nil
}

// ReadBatch implements tun.Device.
func (f *Fake) ReadBatch(bufs [][]byte, sizes []int) (int, error) {
	max := min(len(bufs), len(sizes))
	if max == 0 {
		return 0, nil
	}
	if err := f.ended("read from"); err != nil {
		return 0, err
	}
	select {
	case p := <-f.in:
		sizes[0] = copy(bufs[0], p)
	case <-f.done:
		return 0, f.ended("read from")
	}
	for n := 1; n < max; n++ {
		select {
		case p := <-f.in:
			sizes[n] = copy(bufs[n], p)
		default:
			return n, nil
		}
	}
	return max, nil
}

// WriteBatch implements tun.Device.
func (f *Fake) WriteBatch(pkts [][]byte) (int, error) {
	written := 0
	var first error
	for _, p := range pkts {
		if err := f.ended(fmt.Sprintf("write %d octets to", len(p))); err != nil {
			return written, err
		}
		if len(p) == 0 || p[0]>>4 != 4 && p[0]>>4 != 6 {
			if first == nil {
				first = fmt.Errorf("write %d octets to TUN device %s: not an IP packet", len(p), f.name)
			}
			continue
		}
		written++
		select {
		case f.out <- append([]byte(nil), p...):
		default:
			f.drops.Add(1)
		}
	}
	return written, first
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
