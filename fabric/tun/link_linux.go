package tun

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// MTU implements Device. The name is asked for again, since an interface can be renamed.
func (k *Kernel) MTU() (int, error) {
	var mtu int
	err := k.about("ask the MTU of", func(req *unix.Ifreq) error {
		return withSocket(func(s int) error {
			if err := unix.IoctlIfreq(s, unix.SIOCGIFMTU, req); err != nil {
				return err
			}
			mtu = int(req.Uint32())
			return nil
		})
	})
	return mtu, err
}

// about runs f with a request that has the present name of the device in it.
func (k *Kernel) about(doing string, f func(*unix.Ifreq) error) error {
	var inner error
	err := k.raw.Control(func(fd uintptr) {
		var req *unix.Ifreq
		if req, inner = attached(int(fd)); inner == nil {
			inner = f(req)
		}
	})
	if err != nil {
		return k.because(doing, k.ended(err))
	}
	if inner != nil {
		return k.because(doing, inner)
	}
	return nil
}

// Stats implements Device: one RTM_GETLINK.
func (k *Kernel) Stats() (Stats, error) {
	s := Stats{Offloads: k.offloads, Garbled: k.garbled.Load()}
	err := k.about("ask the counters of", func(req *unix.Ifreq) error {
		return withSocket(func(fd int) error {
			index, err := indexOf(fd, req.Name())
			if err != nil {
				return err
			}
			attrs, err := getLink(index)
			if err != nil {
				return err
			}
			return s.read(attrs)
		})
	})
	return s, err
}

// read takes what is of interest from the attributes of an RTM_NEWLINK. Those of a kernel are in this
// machine's byte order.
func (s *Stats) read(attrs []byte) error {
	for len(attrs) >= unix.SizeofRtAttr {
		n, kind := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if n < unix.SizeofRtAttr || n > len(attrs) {
			return fmt.Errorf("attribute %d of %d octets in %d", kind, n, len(attrs))
		}
		v := attrs[unix.SizeofRtAttr:n]
		switch {
		case kind == unix.IFLA_TXQLEN && len(v) >= 4:
			s.QueueLen = int(binary.NativeEndian.Uint32(v))
		case kind == unix.IFLA_GSO_MAX_SIZE && len(v) >= 4:
			s.MaxSuper = int(binary.NativeEndian.Uint32(v)) - 1
		case kind == unix.IFLA_STATS64 && len(v) >= 8*8:
			// struct rtnl_link_stats64: the kernel receives what we write.
			at := func(i int) uint64 { return binary.NativeEndian.Uint64(v[8*i:]) }
			s.Written, s.Read = at(0), at(1)
			s.Refused, s.Dropped = at(4)+at(6), at(7)
		}
		attrs = attrs[min(len(attrs), align4(n)):]
	}
	return nil
}

func setMTU(name string, mtu int) error { return setNumber(name, unix.SIOCSIFMTU, mtu) }

func setQueueLen(name string, packets int) error {
	return setNumber(name, unix.SIOCSIFTXQLEN, packets)
}

func setNumber(name string, what uint, n int) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint32(uint32(n))
	return withSocket(func(s int) error { return unix.IoctlIfreq(s, what, req) })
}

// setMaxSuper bounds the super-packets that the kernel gives to the device. The kernel compares with "not
// less", so the number that it is told is one more.
func setMaxSuper(name string, octets int) error {
	return withSocket(func(s int) error {
		index, err := indexOf(s, name)
		if err != nil {
			return err
		}
		var attrs []byte
		for _, kind := range []uint16{unix.IFLA_GSO_MAX_SIZE, unix.IFLA_GSO_IPV4_MAX_SIZE} {
			attrs = binary.NativeEndian.AppendUint16(attrs, unix.SizeofRtAttr+4)
			attrs = binary.NativeEndian.AppendUint16(attrs, kind)
			attrs = binary.NativeEndian.AppendUint32(attrs, uint32(octets)+1)
		}
		_, err = rtnetlink(unix.RTM_SETLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK, index, attrs)
		return err
	})
}

func getLink(index int32) ([]byte, error) {
	return rtnetlink(unix.RTM_GETLINK, unix.NLM_F_REQUEST, index, nil)
}

// maxAnswer is more than the kernel says of one link that has no virtual functions, octets.
const maxAnswer = 32 << 10

// rtnetlink asks one thing about a link (rtnetlink(7)), and returns the attributes of the answer, if it
// has some:
//
//	struct nlmsghdr │ struct ifinfomsg │ attributes: length, kind, value, up to a multiple of 4 octets
func rtnetlink(kind, flags uint16, index int32, attrs []byte) ([]byte, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(s)
	const head = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
	msg := make([]byte, head, head+len(attrs))
	binary.NativeEndian.PutUint32(msg, uint32(head+len(attrs)))
	binary.NativeEndian.PutUint16(msg[4:], kind)
	binary.NativeEndian.PutUint16(msg[6:], flags)
	binary.NativeEndian.PutUint32(msg[unix.SizeofNlMsghdr+4:], uint32(index))
	if err := unix.Sendto(s, append(msg, attrs...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return nil, err
	}
	answer = answer[:n]
	if n < unix.SizeofNlMsghdr+4 {
		return nil, fmt.Errorf("an answer of %d octets", n)
	}
	switch binary.NativeEndian.Uint16(answer[4:]) {
	case unix.NLMSG_ERROR: // also says that all is well
		if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			return nil, syscall.Errno(-code)
		}
		return nil, nil
	case unix.RTM_NEWLINK:
		if n >= head {
			return answer[head:], nil
		}
	}
	return nil, fmt.Errorf("an answer of type %d and %d octets", binary.NativeEndian.Uint16(answer[4:]), n)
}

func align4(n int) int { return (n + 3) &^ 3 }

func indexOf(s int, name string) (int32, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(s, unix.SIOCGIFINDEX, req)
	return int32(req.Uint32()), err
}

// withSocket gives f a socket for interface requests in the network namespace of this thread.
func withSocket(f func(fd int) error) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT {
		s, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(s)
	return f(s)
}
