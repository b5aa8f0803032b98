package underlay

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/wire"
)

// moreLanes brings the lanes to the wanted number. A lane is a socket with a source port of its own, so that
// the network between takes what it sends for another flow: other links of a bundle, other queues, other
// policers. With fewer lanes, the reason is told and all goes on.
func moreLanes(lanes []*port, o Options, short *shortfalls) []*port {
	want := min(o.Lanes, wire.MaxLanes)
	for len(lanes) < want {
		p, err := lanes[0].sibling(0, o)
		if err != nil {
			short.say(ShortLanes, fmt.Errorf("open lane %d of %d: %w; %d will do", len(lanes), want, err, len(lanes)))
			break
		}
		lanes = append(lanes, p)
	}
	for _, p := range lanes[1:] {
		if err := p.deafen(); err != nil {
			short.say(ShortLanes, fmt.Errorf("close lane %s to what arrives: %w; it keeps a few packets that nobody reads", p.LocalAddr(), err))
		}
	}
	return lanes
}

// deafen has the kernel drop whatever is sent to p: nobody reads there. Peers answer to the port itself.
func (p *port) deafen() error {
	return p.control(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0); err != nil { // the least that there is
			return err
		}
		nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	})
}
