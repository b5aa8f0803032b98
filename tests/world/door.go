package world

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// door is a listener in memory at a fixed address. Whoever stands behind it opens it, and may die and open
// it again; until then dialling is refused, as by a machine without that process.
type door struct {
	at netip.AddrPort

	mu   sync.Mutex
	open *opened
}

// opened is one life of a door. It is the net.Listener of who opened it.
type opened struct {
	door  *door
	conns chan net.Conn
	done  chan struct{}

	mu   sync.Mutex
	live map[*pipe]bool
	shut bool
}

func (d *door) listen() *opened {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = &opened{door: d, conns: make(chan net.Conn), done: make(chan struct{}), live: map[*pipe]bool{}}
	return d.open
}

// dial gives the client's end of a connection through the door.
func (d *door) dial(ctx context.Context) (net.Conn, error) {
	d.mu.Lock()
	o := d.open
	d.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	if o == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	client, server := &pipe{Conn: near, at: d.at}, &pipe{Conn: far, at: d.at, of: o}
	if !o.track(server) {
		return nil, refused
	}
	select {
	case o.conns <- server:
		return client, nil
	case <-o.done:
	case <-ctx.Done():
	}
	_ = near.Close()
	_ = server.Close()
	return nil, refused
}

func (o *opened) track(p *pipe) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut {
		return false
	}
	o.live[p] = true
	return true
}

// Accept implements net.Listener.
func (o *opened) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: nobody new comes in, who is in stays.
func (o *opened) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shut {
		o.shut = true
		close(o.done)
	}
	return nil
}

// Addr implements net.Listener.
func (o *opened) Addr() net.Addr { return net.TCPAddrFromAddrPort(o.door.at) }

// slam is what a dying process does to its connections: all of them break at once.
func (o *opened) slam() {
	_ = o.Close()
	o.mu.Lock()
	var all []*pipe
	for p := range o.live {
		all = append(all, p)
	}
	o.mu.Unlock()
	for _, p := range all {
		_ = p.Close()
	}
}

// pipe is one end of a connection, with an address that servers can count by.
type pipe struct {
	net.Conn
	at netip.AddrPort
	of *opened // on the server's end
}

func (p *pipe) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.at) }
func (p *pipe) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(p.at) }

func (p *pipe) Close() error {
	if p.of != nil {
		p.of.mu.Lock()
		delete(p.of.live, p)
		p.of.mu.Unlock()
	}
	if err := p.Conn.Close(); err != nil {
		return fmt.Errorf("close a connection in memory: %w", err)
	}
	return nil
}
