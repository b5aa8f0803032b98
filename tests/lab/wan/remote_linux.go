package wan

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

// A network keeps time best in a process of its own: in a busy one its thread waits for the Go scheduler, and for
// garbage collections to stop all threads. Serve is that process, Client what the others hold. Over a Unix
// stream socket goes one call at a time, each way as
//
//	┌──────────────────────┬──────────────────┐
//	│ length, 4 bytes, BE  │ call or answer,  │
//	│ + a descriptor (TUN) │ JSON             │
//	└──────────────────────┴──────────────────┘

// maxMessage bounds both ways: the statistics of 64 sites, 4,032 paths, are about 1.5 MB.
const maxMessage = 8 << 20

type call struct {
	Op       string         `json:"op"` // attach, detach, set, params, sites, stats, reset
	Site     string         `json:"site,omitempty"`
	Device   string         `json:"device,omitempty"`
	Offload  Offload        `json:"offload,omitempty"`
	Vnet     bool           `json:"vnet,omitempty"`
	Prefixes []netip.Prefix `json:"prefixes,omitempty"`
	From     string         `json:"from,omitempty"`
	To       string         `json:"to,omitempty"`
	Change   string         `json:"change,omitempty"`
}

type answer struct {
	Error  string   `json:"error,omitempty"`
	Params *Params  `json:"params,omitempty"`
	Sites  []string `json:"sites,omitempty"`
	Stats  *Stats   `json:"stats,omitempty"`
}

// Memory of a serving process. It makes next to no garbage: frames go round in a pool. Collections are left
// to happen when the limit, which the pool and its bounds stay below, would be passed.
const serveMemory = maxFlight + maxKept + 256<<20

// Serve runs a network and answers calls on a connection until that is closed.
func Serve(conn *net.UnixConn, seed uint64) error {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(serveMemory)
	runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	n, err := New(seed)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	err = n.answer(conn)
	stop()
	return errors.Join(err, <-ended, n.Close())
}

func (n *Network) answer(conn *net.UnixConn) error {
	for {
		var c call
		file, err := receive(conn, &c)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a call: %w", err)
		}
		a, err := n.serve(c, file)
		if err != nil {
			a.Error = err.Error()
		}
		if err := send(conn, a, nil); err != nil {
			return fmt.Errorf("answer a call: %w", err)
		}
	}
}

func (n *Network) serve(c call, file *os.File) (a answer, err error) {
	if file != nil && c.Op != "attach" {
		file.Close()
	}
	switch c.Op {
	case "attach":
		if file == nil {
			return a, errors.New("attach without a device")
		}
		if err = n.Attach(c.Site, &Device{name: c.Device, file: file, vnet: c.Vnet, offload: c.Offload}, c.Prefixes...); err != nil {
			file.Close()
		}
	case "detach":
		err = n.Detach(c.Site)
	case "set":
		var p Params
		p, err = n.Set(c.From, c.To, c.Change)
		a.Params = &p
	case "sites":
		a.Sites = n.Sites()
	case "stats":
		st := n.Stats()
		a.Stats = &st
	case "reset":
		n.ResetLateness()
	default:
		err = fmt.Errorf("no call %q", c.Op)
	}
	return a, err
}

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

// send writes one message, its descriptor with the first bytes.
func send(conn *net.UnixConn, v any, file *os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("message of %d bytes: at most %d", len(body), maxMessage)
	}
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
		defer runtime.KeepAlive(file)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := conn.WriteMsgUnix(head, rights, nil); err != nil {
		return err
	}
	_, err = conn.Write(body)
	return err
}

// receive reads one message into v, and the descriptor that came with it.
func receive(conn *net.UnixConn, v any) (*os.File, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	file, err := rights(oob[:oobn])
	if err == nil {
		_, err = io.ReadFull(conn, head[n:])
	}
	if size := binary.BigEndian.Uint32(head); err == nil && size > maxMessage {
		err = fmt.Errorf("message of %d bytes: at most %d", size, maxMessage)
	} else if err == nil {
		body := make([]byte, size)
		if _, err = io.ReadFull(conn, body); err == nil {
			err = json.Unmarshal(body, v)
		}
	}
	if err != nil && file != nil {
		file.Close()
	}
	return file, err
}

func rights(oob []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("want one descriptor, have %d: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), tunPath), nil
}
