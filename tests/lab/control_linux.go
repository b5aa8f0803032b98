package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

// A running lab is spoken to over a Unix socket that only its user can open: one request and one answer per
// connection, each a line of JSON. It works from outside of the lab's namespaces too, where nothing of it can be seen.

// Request is what is asked of a running lab.
type Request struct {
	// Op is sites, stats, set (From, To, Change; both directions with Both), isolate or rejoin (Where), or exec.
	Op     string `json:"op"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Change string `json:"change,omitempty"`
	Both   bool   `json:"both,omitempty"`
	// Where is a site, or site/host for exec.
	Where string   `json:"where,omitempty"`
	Args  []string `json:"args,omitempty"` // of exec
	Dir   string   `json:"dir,omitempty"`
	Env   []string `json:"env,omitempty"`
}

// Answer is what it says.
type Answer struct {
	Error   string      `json:"error,omitempty"`
	Text    string      `json:"text,omitempty"`
	Sites   []string    `json:"sites,omitempty"`
	Stats   *wan.Stats  `json:"stats,omitempty"`
	Dropped []IfDropped `json:"dropped,omitempty"`
	Exit    int         `json:"exit"`
}

// IfDropped counts packets that a router's kernel dropped because the network did not read them in time.
type IfDropped struct {
	Site    string `json:"site"`
	Packets uint64 `json:"packets"`
}

// Bounds of the control socket.
const (
	maxRequest   = 1 << 20
	maxAnswer    = 8 << 20
	maxCallers   = 64 // at a time; others wait
	standardFDs  = 3
	controlFlags = 0o177 // umask of the socket: its user alone
)

// ServeControl answers requests on a Unix socket at path until ctx ends.
func (l *Lab) ServeControl(ctx context.Context, path string) error {
	if err := removeStale(path); err != nil {
		return err
	}
	old := unix.Umask(controlFlags)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return fmt.Errorf("open the lab's control socket: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var callers sync.WaitGroup
	defer callers.Wait()
	slots := make(chan struct{}, maxCallers)
	for {
		conn, err := ln.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on the lab's control socket: %w", err)
		}
		slots <- struct{}{}
		callers.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			l.attend(ctx, conn)
		})
	}
}

// removeStale clears away the socket of a lab that is gone, and refuses to take that of one that is not.
func removeStale(path string) error {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("a lab is running already: its control socket %s answers", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear away the control socket of a lab that is gone: %w", err)
	}
	return nil
}

func (l *Lab) attend(ctx context.Context, conn *net.UnixConn) {
	req, files, err := readRequest(conn)
	defer closeAll(files)
	var a Answer
	if err == nil {
		a, err = l.handle(ctx, req, files, conn)
	}
	if err != nil {
		a.Error = err.Error()
	}
	json.NewEncoder(conn).Encode(a)
}

func (l *Lab) handle(ctx context.Context, req Request, files []*os.File, conn *net.UnixConn) (a Answer, err error) {
	switch req.Op {
	case "sites":
		for _, s := range l.Sites() {
			a.Sites = append(a.Sites, s.Spec.Name)
			for i := range s.Hosts {
				a.Sites = append(a.Sites, s.Spec.Name+"/"+s.Spec.Hosts[i].Name)
			}
		}
	case "stats":
		st, err := l.network.Stats()
		if err != nil {
			return a, err
		}
		a.Stats = &st
		for _, s := range l.Sites() {
			n, err := s.Router.Dropped(WANInterface)
			if err != nil {
				return a, err
			}
			a.Dropped = append(a.Dropped, IfDropped{s.Spec.Name, n})
		}
	case "set":
		var p wan.Params
		if p, err = l.network.Set(req.From, req.To, req.Change); err == nil && req.Both {
			_, err = l.network.Set(req.To, req.From, req.Change)
		}
		a.Text = p.String()
	case "isolate", "rejoin":
		if _, err = l.find(req.Where); err == nil {
			err = l.Isolate(req.Where, req.Op == "isolate")
		}
	case "exec":
		a.Exit, err = l.execute(ctx, req, files, conn)
	default:
		err = fmt.Errorf("no request %q", req.Op)
	}
	return a, err
}

// find gives the namespace of a site's router, or of site/host.
func (l *Lab) find(where string) (*NS, error) {
	name, host, isHost := strings.Cut(where, "/")
	for _, s := range l.Sites() {
		if s.Spec.Name != name {
			continue
		}
		if !isHost {
			return s.Router, nil
		}
		for i, h := range s.Hosts {
			if s.Spec.Hosts[i].Name == host {
				return h.NS, nil
			}
		}
	}
	return nil, fmt.Errorf("no site or host %q in this lab", where)
}

// execute runs a command on the caller's own standard files. When the caller goes away, so does the command.
func (l *Lab) execute(ctx context.Context, req Request, files []*os.File, conn *net.UnixConn) (exit int, err error) {
	ns, err := l.find(req.Where)
	if err != nil {
		return 0, err
	}
	if len(req.Args) == 0 || len(files) != standardFDs {
		return 0, errors.New("exec wants a command and the standard files")
	}
	cmd := exec.Command(req.Args[0], req.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	cmd.Dir, cmd.Env = req.Dir, req.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p, err := ns.Start(cmd)
	if err != nil {
		return 0, err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn) // the caller sends nothing more; its end is what is waited for
	}()
	select {
	case <-p.Done():
	case <-gone:
		p.Kill()
	case <-ctx.Done():
		p.Kill()
	}
	err = p.Wait()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		status, _ := exited.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exited.ExitCode(), nil
	}
	return 0, err
}

// readRequest reads the line, and the descriptors that came with its first byte.
func readRequest(conn *net.UnixConn) (req Request, files []*os.File, err error) {
	first, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*standardFDs))
	n, oobn, _, _, err := conn.ReadMsgUnix(first, oob)
	if err != nil {
		return req, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return req, nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return req, files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "caller"))
		}
	}
	rest := io.MultiReader(strings.NewReader(string(first[:n])), conn)
	if err := json.NewDecoder(io.LimitReader(rest, maxRequest)).Decode(&req); err != nil {
		return req, files, fmt.Errorf("read request: %w", err)
	}
	return req, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
