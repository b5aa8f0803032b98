package underlay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// sink is a kernel's sending side in memory: what it takes, and what it says to what it does not.
type sink struct {
	mtu     int             // largest datagram, octets
	run     syscall.Errno   // what it says to runs, or 0
	closed  map[uint16]bool // ports that it may not send to
	limit   int             // messages that one call takes
	calls   int
	arrived []string // "port/octets/first octet", of every datagram
}

func (w *sink) sendmmsg(_ uintptr, first *mmsghdr, used int) (int, syscall.Errno) {
	w.calls++
	for i, h := range unsafe.Slice(first, used) {
		if i == w.limit {
			return i, 0
		}
		if errno := w.take(&h.hdr); errno != 0 {
			if i > 0 {
				errno = 0
			}
			return i, errno
		}
	}
	return used, 0
}

func (w *sink) take(h *unix.Msghdr) syscall.Errno {
	buf := unsafe.Slice(h.Iov.Base, h.Iov.Len)
	seg := len(buf)
	if h.Controllen > 0 {
		seg = int(*(*uint16)(unsafe.Add(unsafe.Pointer(h.Control), unix.CmsgLen(0))))
		if w.run != 0 {
			return w.run
		}
	}
	port := fromSockaddr((*unix.RawSockaddrInet6)(unsafe.Pointer(h.Name))).Port()
	if w.closed[port] {
		return unix.EPERM
	}
	if seg > w.mtu {
		return unix.EMSGSIZE
	}
	for d := range slices.Chunk(buf, seg) {
		w.arrived = append(w.arrived, fmt.Sprint(port, "/", len(d), "/", d[0]))
	}
	return 0
}

// TestSendingAgainstAModel: whatever the kernel refuses, everything that it can send arrives once and in order,
// and everything else is in the errors.
func TestSendingAgainstAModel(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	rapid.Check(t, func(t *rapid.T) {
		w := &sink{
			mtu:    rapid.IntRange(1, 12).Draw(t, "mtu"),
			run:    rapid.SampledFrom([]syscall.Errno{0, 0, unix.EIO, unix.EINVAL, unix.EMSGSIZE}).Draw(t, "run"),
			closed: map[uint16]bool{3: rapid.Bool().Draw(t, "closed")},
			limit:  rapid.IntRange(1, MaxBatch).Draw(t, "limit"),
		}
		real := s.net.(*kernel)
		k := &kernel{port: real.port, ports: real.ports, lanes: real.lanes, short: new(shortfalls)}
		k.gso.Store(rapid.Bool().Draw(t, "gso"))
		k.writers.New = func() any { return newBatch(w.sendmmsg) }

		var p []Packet
		var arrive []string
		failed := map[uint16][2]int{} // by port: datagrams, octets
		for i := range rapid.IntRange(1, 80).Draw(t, "packets") {
			port := rapid.Uint16Range(1, 3).Draw(t, "port")
			q := Packet{Buf: make([]byte, rapid.IntRange(1, 40).Draw(t, "octets")), Lane: rapid.Uint8Range(0, 2).Draw(t, "lane"),
				Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
			if rapid.Bool().Draw(t, "is run") {
				q.Seg = rapid.IntRange(1, 15).Draw(t, "seg")
			}
			for j := range q.Count() {
				d := q.Datagram(j)
				d[0] = byte(i)
				if len(d) > w.mtu || w.closed[port] {
					f := failed[port]
					failed[port] = [2]int{f[0] + 1, f[1] + len(d)}
				} else {
					arrive = append(arrive, fmt.Sprint(port, "/", len(d), "/", d[0]))
				}
			}
			p = append(p, q)
		}
		err := k.write(p)
		if !slices.Equal(w.arrived, arrive) {
			t.Errorf("arrived\n%v, want\n%v", w.arrived, arrive)
		}
		for _, e := range SendErrors(err) {
			f := failed[e.Addr.Port()]
			failed[e.Addr.Port()] = [2]int{f[0] - e.Packets, f[1] - e.Octets}
			if !errors.Is(e, ErrTooBig) && !errors.Is(e, unix.EPERM) || errors.Is(e, ErrTooBig) && e.Size <= w.mtu {
				t.Errorf("error %v", e)
			}
		}
		for port, f := range failed {
			if f != [2]int{} {
				t.Errorf("port %d: %v datagrams and octets are missing in the errors %v", port, f, err)
			}
		}
		if w.run == unix.EIO && w.calls > 0 && k.gso.Load() && slices.ContainsFunc(p, func(q Packet) bool { return q.Count() > 1 }) {
			t.Error("runs are still sent after EIO")
		}
	})
}

// TestTooBigRunsAreNotTriedDatagramByDatagram: the others of that size have the same fate.
func TestTooBigRunsAreNotTriedDatagramByDatagram(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	w := &sink{mtu: 99, limit: MaxBatch}
	k := s.net.(*kernel)
	k.writers.New = func() any { return newBatch(w.sendmmsg) }
	run, _ := runOf(100, 63, 50)
	var e *SendError
	if err := s.WriteBatch([]Packet{{Buf: run, Seg: 100, Addr: s.LocalAddr()}}); !errors.As(err, &e) || e.Packets != 63 || e.Size != 100 {
		t.Errorf("error %v", err)
	}
	if len(w.arrived) != 1 || w.calls > 3 {
		t.Errorf("%d arrived, %d calls", len(w.arrived), w.calls)
	}
}
