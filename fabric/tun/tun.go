// Package tun moves batches of IP packets between Galleon and the kernel through a TUN device: what
// the kernel routes into the device is read here, what is written here enters the kernel as received.
//
// # The contract of a Device
//
//   - A packet is one whole IPv4 or IPv6 packet, from its IP header on, nothing before or behind it; or a
//     super-packet, which stands for many (see package offload). Beside it lies what is left to be done.
//   - ReadBatch waits for the first packet and then takes what is there, without waiting again. One
//     goroutine reads at a time.
//   - WriteBatch goes on behind a packet that the kernel refuses. Any number of goroutines may write. It
//     takes super-packets and partial checksums always, and may write over the octets that it is given.
//   - After Close, both return os.ErrClosed, also those that wait. When somebody else removes the
//     device they return ErrGone: make a new one, and set up its addresses and routes again.
//
// The suite in package tuntest holds the kernel's device and the in-memory one to it.
//
// # Offloads
//
// With a vnet header in front of each packet (virtio 1.1 section 5.1.6) the kernel and we tell each other
// what is not done yet. One system call then moves 64 KiB and not 1,400 octets, and nobody computes the
// checksum of a TCP segment that starts and ends in a kernel:
//
//	read:   vnet header │ IP │ TCP │ payload of up to 44 segments      into the arena, packets side by side
//	write:  vnet header ┐
//	        IP │ TCP │ payload ┴─ writev                               from wherever it lies
//
// What the kernel has is asked for from most to least: checksums, TSO and USO (Linux 6.2); without USO;
// checksums alone; no vnet header. Offloads tells what came of it. What the kernel cannot take, a device
// cuts and completes itself (Lowering), so that nobody above has to ask.
//
// # The queue
//
// The kernel keeps what we have not read in a ring of Options.QueueLen packets and drops what finds it full
// (Stats.Dropped); it never slows the sender down. A super-packet takes one place.
//
// # Life
//
// The device is not persistent: the kernel removes it, and with it every route through it, when the
// last descriptor is closed. One that outlived its process would swallow packets in silence, ahead of
// the unreachable routes that guard the overlay. To keep forwarding over an upgrade, hand File to the
// successor before ending; FromFile takes devices over with vnet headers and without. Open sets the MTU
// and the queue; addresses, routes and "up" are netcfg's.
package tun

import (
	"errors"

	"github.com/galleon-net/galleon/fabric/offload"
)

// ErrGone says that the device was removed from outside.
var ErrGone = errors.New("the TUN device is gone")

// Packet is an IP packet, or a super-packet, and what of it is not done yet.
type Packet = offload.Packet

// Device is a TUN device. See the package comment.
type Device interface {
	// Name is the interface's name.
	Name() string
	// MTU is asked of the kernel each time, in octets: an administrator may change it.
	MTU() (int, error)
	// ReadBatch reads packets into arena, one behind the other, and says in pkts where they lie. It returns
	// how many it read: it stops when pkts is full or less than MaxPacket is left of arena. An arena that
	// is shorter from the beginning is a mistake, and panics.
	ReadBatch(arena []byte, pkts []Packet) (int, error)
	// WriteBatch writes packets in order, and returns how many the kernel took whole and the first error.
	WriteBatch(pkts []Packet) (int, error)
	// Offloads is what the kernel does for this device; it stays the same for the device's life.
	Offloads() Offloads
	// Stats asks the kernel what became of packets.
	Stats() (Stats, error)
	Close() error
}

// MaxPacket is the room in octets that a packet needs in an arena: the longest that a kernel makes (IPv6,
// its length field full), and up to headroom for what comes in front.
const MaxPacket = headroom + 40 + 65535

// headroom is for the vnet header, and to begin packets at multiples of 16.
const headroom = 16

// place returns the part of arena, from off on, for one packet; false when there is too little.
func place(arena []byte, off int) ([]byte, bool) {
	if len(arena) < MaxPacket {
		panicShort(len(arena))
	}
	if len(arena)-off < MaxPacket {
		return nil, false
	}
	return arena[off:], true
}

// Offloads are the jobs that a kernel does, or leaves to the far end, for the packets of a device.
type Offloads struct {
	Checksum bool `json:"checksum"` // of TCP and UDP
	TSO      bool `json:"tso"`      // cuts TCP super-packets, over IPv4 and IPv6
	USO      bool `json:"uso"`      // cuts UDP super-packets, over both
}

// Options are the properties of a new device. The zero value is good but for the MTU.
type Options struct {
	MTU int // octets; 0 is the kernel's, 1,500

	// QueueLen is how many packets the kernel keeps for us until it drops; 0 is DefaultQueueLen.
	QueueLen int

	// MaxSuper is the longest super-packet, in octets from the IP header on, that the kernel shall give; 0
	// leaves the kernel's, 65,535. TCP of this host keeps to it. One that is forwarded and longer is cut into
	// single packets, which halves what passes: only for machines that forward nothing. Kernels that do not
	// know it ignore it.
	MaxSuper int

	// NoOffload makes a device without vnet headers, as kernels without them do.
	NoOffload bool
}

// Stats is what became of packets at the kernel's side of a device, since it was made.
type Stats struct {
	Offloads Offloads `json:"offloads"`
	QueueLen int      `json:"queue_len"` // packets
	MaxSuper int      `json:"max_super"` // octets of the longest super-packet over IPv6; 0 is unknown
	Read     uint64   `json:"read"`      // packets and super-packets that we were given
	Written  uint64   `json:"written"`   // packets and super-packets that the kernel took
	Dropped  uint64   `json:"dropped"`   // by the kernel, because the queue was full when they came
	Refused  uint64   `json:"refused"`   // written, but the kernel would not have them
	Garbled  uint64   `json:"garbled"`   // read with a vnet header that does not fit, and dropped
}
