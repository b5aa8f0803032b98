package underlay

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Control messages travel beside a datagram (cmsg(3)). We send, and ask for:
//
//	level      type           data            sent                  read
//	SOL_UDP    UDP_SEGMENT    uint16          Seg of a run          -
//	SOL_UDP    UDP_GRO        int             -                     Seg of a run
//	SOL_IP     IP_TOS         int, uint8      to IPv4 addresses     from them
//	SOL_IPV6   IPV6_TCLASS    int             to IPv6 addresses     from them
//
// On a dual-stack socket the family of the packet counts, not that of the socket.

// controlLen is room for the control messages of one packet in units of 8 octets, which is their alignment:
// three of 24 octets at the most.
const controlLen = 10

type control [controlLen]uint64

// octets are those that a call may use.
func (c *control) octets() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), controlLen*8)
}

// forSending fills c and returns how many octets count.
func (c *control) forSending(seg int, tos uint8, v4 bool) int {
	used := 0
	if seg > 0 {
		binary.NativeEndian.PutUint16(c.put(&used, unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(seg))
	}
	if tos != 0 {
		level, typ := int32(unix.SOL_IPV6), int32(unix.IPV6_TCLASS)
		if v4 {
			level, typ = unix.SOL_IP, unix.IP_TOS
		}
		binary.NativeEndian.PutUint32(c.put(&used, level, typ, 4), uint32(tos))
	}
	return used
}

// put makes a message at used, moves used behind it, and returns where its n octets of data go.
func (c *control) put(used *int, level, typ int32, n int) []byte {
	at := c.octets()[*used:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(at)))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(n))
	*used += unix.CmsgSpace(n)
	return at[unix.CmsgLen(0):unix.CmsgLen(n)]
}

// read finds what n octets of control messages say.
func (c *control) read(n int) (seg int, tos uint8) {
	rest := c.octets()[:n]
	for len(rest) >= unix.SizeofCmsghdr {
		h, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			seg = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.SOL_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			tos = data[0]
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			tos = uint8(binary.NativeEndian.Uint32(data))
		}
		rest = next
	}
	return max(seg, 0), tos
}
