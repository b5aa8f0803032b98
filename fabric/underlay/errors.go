package underlay

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrTooBig says that the interface cannot carry a packet of that size without fragmenting it.
var ErrTooBig = errors.New("packet is too big for the interface")

// SendError is one destination of a batch that failed.
type SendError struct {
	Addr    netip.AddrPort
	Size    int   // of the largest datagram that failed, octets
	Packets int   // how many datagrams failed
	Octets  int   // their sum
	Err     error // the first error, as the kernel gave it
}

// TooBigError is the name of a SendError for which errors.Is(err, ErrTooBig).
type TooBigError = SendError

func (e *SendError) Error() string {
	return fmt.Sprintf("send %d packets of up to %d octets to %s: %v", e.Packets, e.Size, e.Addr, e.Err)
}

// Unwrap gives the error of the kernel.
func (e *SendError) Unwrap() error { return e.Err }

// Is makes EMSGSIZE an ErrTooBig.
func (e *SendError) Is(target error) bool {
	return target == ErrTooBig && errors.Is(e.Err, syscall.EMSGSIZE)
}

// errVirtual keeps datagrams for virtual addresses off the real network, where a default route would take
// them anywhere.
var errVirtual = errors.New("a virtual address is reached through relays only")

// failures gathers the errors of one batch by destination, so that a dead one is named once.
type failures []*SendError

// add counts all datagrams of p as failed.
func (f *failures) add(p Packet, err error) {
	if p.Seg == 0 || p.Seg > len(p.Buf) {
		p.Seg = len(p.Buf) // of the largest
	}
	n := p.Count()
	for _, e := range *f {
		if e.Addr == p.Addr && errors.Is(err, e.Err) {
			e.Packets += n
			e.Octets += len(p.Buf)
			e.Size = max(e.Size, p.Seg)
			return
		}
	}
	*f = append(*f, &SendError{Addr: p.Addr, Size: p.Seg, Packets: n, Octets: len(p.Buf), Err: err})
}

func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	return joined(f)
}

// joined is a non-empty failures as an error.
type joined failures

func (j joined) Error() string {
	s := j[0].Error()
	if len(j) > 1 {
		s += fmt.Sprintf(" (and %d more failures)", len(j)-1)
	}
	return s
}

// Unwrap lets errors.Is and errors.As see all of them.
func (j joined) Unwrap() []error {
	out := make([]error, len(j))
	for i, e := range j {
		out[i] = e
	}
	return out
}

// SendErrors lists every destination that failed in what WriteBatch returned: one batch may hold a
// packet that is too big for one neighbour and another for which there is no route.
func SendErrors(err error) []*SendError {
	switch e := err.(type) {
	case nil:
		return nil
	case *SendError:
		return []*SendError{e}
	case interface{ Unwrap() []error }:
		var all []*SendError
		for _, inner := range e.Unwrap() {
			all = append(all, SendErrors(inner)...)
		}
		return all
	}
	return SendErrors(errors.Unwrap(err))
}
