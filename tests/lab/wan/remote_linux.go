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
