package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// CaptureConfig says which packets of an interface a capture counts. What it leaves zero does not restrict.
type CaptureConfig struct {
	Interface string
	// Prefixes: source or destination in one of them. Judged in the kernel, so that a capture that expects to see nothing
	// costs nothing.
	Prefixes []netip.Prefix
	// Contains: the packet has one of these byte strings in it. Judged here; a super-packet counts as one packet, and a
	// string that two packets share is not seen.
	Contains [][]byte
	// Keep is how many of the matching packets to keep whole; 16 when 0.
	Keep int
}

// Captured is a packet that matched.
type Captured struct {
	At       time.Time
	Outgoing bool   // the interface's own machine sent it
	Packet   []byte // from the IP header on
}

// CaptureReport is what a capture has seen.
type CaptureReport struct {
	Seen    uint64 // packets that came through the kernel's filter
	Matched uint64 // of them, those that match
	Dropped uint64 // packets that this process was too slow for; when not 0, Matched 0 proves nothing
	Kept    []Captured
}

// Capture watches an interface.
type Capture struct {
	cfg  CaptureConfig
	fd   int
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	report CaptureReport
}

// Sizes of a capture.
const (
	captureBuffer = 64 << 20 // asked for with SO_RCVBUFFORCE; without root the kernel gives net.core.rmem_max
	defaultKeep   = 16
	wholePacket   = 1 << 18
	maxPrefixes   = 64 // 32 instructions each at most; the kernel takes 4,096
)

// Capture watches an interface of the namespace until Stop.
func (n *NS) Capture(cfg CaptureConfig) (*Capture, error) {
	if cfg.Keep == 0 {
		cfg.Keep = defaultKeep
	}
	c := &Capture{cfg: cfg, done: make(chan struct{})}
	if err := n.Do(func() error { return c.open(n) }); err != nil {
		return nil, fmt.Errorf("capture on %s in %s: %w", cfg.Interface, n.name, err)
	}
	go c.run()
	return c, nil
}

// open makes a packet socket that gives packets from the IP header on, whatever the link. It is bound only
// when the filter is in place, so that nothing slips in before.
func (c *Capture) open(n *NS) error {
	link, err := n.link.LinkByName(c.cfg.Interface)
	if err != nil {
		return err
	}
	c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	c.file = os.NewFile(uintptr(c.fd), "capture")
	if err := c.configure(link.Attrs().Index); err != nil {
		c.file.Close()
		return err
	}
	return nil
}

func (c *Capture) configure(ifindex int) error {
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) != nil {
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, captureBuffer)
	}
	filter, err := prefixFilter(c.cfg.Prefixes)
	if err != nil {
		return err
	}
	if len(filter) > 0 {
		program := make([]unix.SockFilter, len(filter))
		for i, r := range filter {
			program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
		}
		if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
			return fmt.Errorf("attach filter: %w", err)
		}
	}
	const everything = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // in network byte order
	return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: ifindex})
}

func (c *Capture) run() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	b := make([]byte, 128<<10)
	for {
		var n int
		var from unix.Sockaddr
		var recvErr error
		err := raw.Read(func(fd uintptr) bool {
			n, from, recvErr = unix.Recvfrom(int(fd), b, 0)
			return recvErr != unix.EAGAIN
		})
		if err != nil {
			return // closed, or Stop's deadline
		}
		if recvErr == nil {
			c.see(b[:n], from)
		}
	}
}

func (c *Capture) see(b []byte, from unix.Sockaddr) {
	matched := len(c.cfg.Contains) == 0 || slices.ContainsFunc(c.cfg.Contains, func(s []byte) bool { return bytes.Contains(b, s) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Seen++
	if !matched {
		return
	}
	c.report.Matched++
	if len(c.report.Kept) < c.cfg.Keep {
		ll, ok := from.(*unix.SockaddrLinklayer)
		c.report.Kept = append(c.report.Kept, Captured{time.Now(), ok && ll.Pkttype == unix.PACKET_OUTGOING, bytes.Clone(b)})
	}
}

// Report gives what was seen so far.
func (c *Capture) Report() CaptureReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count()
	r := c.report
	r.Kept = slices.Clone(r.Kept)
	return r
}

// count adds the kernel's drops, which it forgets with each asking.
func (c *Capture) count() {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.report.Dropped += uint64(s.Drops)
		}
	})
}

// Stop ends the capture, after it has read what the kernel holds for it, and gives the report.
func (c *Capture) Stop() CaptureReport {
	c.file.SetReadDeadline(time.Now())
	<-c.done
	// The deadline may have struck between two packets that were there already.
	b := make([]byte, 128<<10)
	for {
		n, from, err := unix.Recvfrom(c.fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			break
		}
		c.see(b[:n], from)
	}
	r := c.Report()
	c.file.Close()
	return r
}

// prefixFilter writes the kernel's filter: accept a packet whose source or destination lies in a prefix.
func prefixFilter(prefixes []netip.Prefix) ([]bpf.RawInstruction, error) {
	if len(prefixes) == 0 {
		return nil, nil
	}
	if len(prefixes) > maxPrefixes {
		return nil, fmt.Errorf("%d prefixes: at most %d", len(prefixes), maxPrefixes)
	}
	const v4Source, v4Dest, v6Source, v6Dest = 12, 16, 8, 24 // offsets in the IP header
	var code []bpf.Instruction
	for _, p := range prefixes {
		version, at := uint32(4), []uint32{v4Source, v4Dest}
		if p.Addr().Is6() {
			version, at = 6, []uint32{v6Source, v6Dest}
		}
		for _, offset := range at {
			code = append(code, matchPrefix(p.Masked(), version, offset)...)
		}
	}
	code = append(code, bpf.RetConstant{Val: 0})
	return bpf.Assemble(code)
}

// matchPrefix accepts when the IP version is right and the address at offset is in p; otherwise it runs on.
func matchPrefix(p netip.Prefix, version, offset uint32) []bpf.Instruction {
	type word struct{ mask, want, at uint32 }
	var words []word
	a := p.Addr().AsSlice()
	for i, left := 0, p.Bits(); left > 0; i, left = i+4, left-32 {
		mask := ^uint32(0) << (32 - min(32, left))
		want := uint32(a[i])<<24 | uint32(a[i+1])<<16 | uint32(a[i+2])<<8 | uint32(a[i+3])
		words = append(words, word{mask, want, offset + uint32(i)})
	}
	rest := uint8(3*len(words) + 1) // instructions after the version check
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: version, SkipFalse: rest},
	}
	for i, w := range words {
		code = append(code,
			bpf.LoadAbsolute{Off: w.at, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: w.mask},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: w.want, SkipFalse: rest - uint8(3*(i+1))},
		)
	}
	// A return for every match keeps each jump inside its own prefix: BPF's span 255 instructions at most.
	return append(code, bpf.RetConstant{Val: wholePacket})
}
