package wan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
)

// Client is a network that another process serves. Its methods are those of Network.
type Client struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

// NewClient calls the server at the other end of a connection, and owns the connection.
func NewClient(conn *net.UnixConn) *Client { return &Client{conn: conn} }

// Close ends the server, and with it the network.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) call(q call, file *os.File) (answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var a answer
	err := send(c.conn, q, file)
	if err == nil {
		_, err = receive(c.conn, &a)
	}
	if err != nil {
		return a, fmt.Errorf("ask the process that carries packets: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Attach is Network.Attach. The device is the server's afterwards, and closed here.
func (c *Client) Attach(name string, dev *Device, prefixes ...netip.Prefix) error {
	_, err := c.call(call{Op: "attach", Site: name, Device: dev.name, Offload: dev.offload, Vnet: dev.vnet, Prefixes: prefixes}, dev.file)
	if err == nil {
		err = dev.Close()
	}
	return err
}

// Detach is Network.Detach.
func (c *Client) Detach(name string) error {
	_, err := c.call(call{Op: "detach", Site: name}, nil)
	return err
}

// Set changes the link from one site to another by text as Params.Apply reads it, and gives what it is now.
func (c *Client) Set(from, to, change string) (Params, error) {
	a, err := c.call(call{Op: "set", From: from, To: to, Change: change}, nil)
	if err != nil {
		return Params{}, err
	}
	return *a.Params, nil
}

// SetBoth changes both directions between two sites alike: rtt=70ms makes 35 ms each way.
func (c *Client) SetBoth(a, b, change string) error {
	if _, err := c.Set(a, b, change); err != nil {
		return err
	}
	_, err := c.Set(b, a, change)
	return err
}

// Params gives what the link from one site to another is set to.
func (c *Client) Params(from, to string) (Params, error) { return c.Set(from, to, "") }

// Sites gives the names of the attached sites in order.
func (c *Client) Sites() ([]string, error) {
	a, err := c.call(call{Op: "sites"}, nil)
	return a.Sites, err
}

// Stats gives the counts at this moment.
func (c *Client) Stats() (Stats, error) {
	a, err := c.call(call{Op: "stats"}, nil)
	if err != nil {
		return Stats{}, err
	}
	return *a.Stats, nil
}

// ResetLateness forgets the lateness so far.
func (c *Client) ResetLateness() error {
	_, err := c.call(call{Op: "reset"}, nil)
	return err
}
