package underlay

import (
	"fmt"
	"net"
	"os"
)

// Handing over. A Socket is several of the kernel's, in this order:
//
//	readers   all on the port; the first is the express one and sends lane 0. Their order is the group's
//	          (reuseport_linux.go) and must be kept
//	lanes     from lane 1, each on a port of its own, by which they are known
//
// A successor may be given fewer: an older version had one file. What it wants beyond those it opens itself.

// FromFiles makes a Socket of descriptors that another process handed over, in the order of its Files. The
// caller still closes the files.
func FromFiles(files []*os.File, o Options) (*Socket, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("take over UDP socket: no descriptor was given")
	}
	var conns []*net.UDPConn
	refuse := func(err error) (*Socket, error) {
		for _, c := range conns {
			c.Close()
		}
		return nil, err
	}
	for _, f := range files {
		pc, err := net.FilePacketConn(f)
		if err != nil {
			return refuse(fmt.Errorf("take over UDP socket %s: %w", f.Name(), err))
		}
		c, ok := pc.(*net.UDPConn)
		if !ok {
			pc.Close()
			return refuse(fmt.Errorf("take over UDP socket %s: it is a %s socket", f.Name(), pc.LocalAddr().Network()))
		}
		conns = append(conns, c)
	}
	return open(conns, o)
}

func (k *kernel) files() ([]*os.File, error) {
	var files []*os.File
	add := func(p *port, what string, n int) error {
		f, err := p.duplicate(fmt.Sprintf("udp %s %s %d", k.LocalAddr(), what, n))
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	for i, p := range k.ports {
		if err := add(p, "reader", i); err != nil {
			closeFiles(files)
			return nil, err
		}
	}
	for i, p := range k.lanes[1:] {
		if err := add(p, "lane", i+1); err != nil {
			closeFiles(files)
			return nil, err
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
