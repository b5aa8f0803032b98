// Package tun moves batches of IP packets between Galleon and the kernel through a TUN device: what
// the kernel routes into the device is read here, what is written here enters the kernel as received.
//
// # The contract of a Device
//
//   - A packet is one whole IPv4 or IPv6 packet, from its IP header on, nothing before or behind it.
//   - ReadBatch waits for the first packet and then takes what is there, without waiting again. One
//     goroutine reads at a time.
//   - WriteBatch goes on behind a packet that the kernel refuses. Any number of goroutines may write.
//   - After Close, both return os.ErrClosed, also those that wait. When somebody else removes the
//     device they return ErrGone: make a new one, and set up its addresses and routes again.
//
// The suite in package tuntest holds the kernel's device and the in-memory one to it.
//
// # Life
//
// The device is not persistent: the kernel removes it, and with it every route through it, when the
// last descriptor is closed. One that outlived its process would swallow packets in silence, ahead of
// the unreachable routes that guard the overlay. To keep forwarding over an upgrade, hand File to the
// successor before ending. Open sets the MTU; addresses, routes and "up" are netcfg's.
//
// This is the plain path, a packet for each system call. Offloads (a header in front of each read,
// TSO and USO) come behind the same interface; that is why it is in batches.
package tun

import "errors"

// ErrGone says that the device was removed from outside.
var ErrGone = errors.New("the TUN device is gone")

// Device is a TUN device. See the package comment.
type Device interface {
	// Name is the interface's name.
	Name() string
	// MTU is asked of the kernel each time, in octets: an administrator may change it.
	MTU() (int, error)
	// ReadBatch reads packets into bufs, each at least as long as the MTU (a longer packet is cut),
	// and their lengths in octets into sizes. It returns how many it read.
	ReadBatch(bufs [][]byte, sizes []int) (int, error)
	// WriteBatch writes packets in order, and returns how many the kernel took and the first error.
	WriteBatch(pkts [][]byte) (int, error)
	Close() error
}
