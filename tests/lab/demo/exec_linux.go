package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// A lab of namespaces without names can only be entered through the process that holds them. `demo exec` asks it,
// over the Unix socket demo.sock of its workspace:
//
//	demo exec                      the run
//	order, as JSON, and standard   ─▶  starts the command in the namespace, with those descriptors
//	  input, output and error
//	{"signal": 2} …                ─▶  passes it on
//	                               ◀─  {"exit": 0} or {"error": "…"}
//
// Each message is one packet of a SOCK_SEQPACKET connection. When the connection ends, so does the command.
type order struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

type orderSignal struct {
	Signal int `json:"signal"`
}

type outcome struct {
	Exit  int    `json:"exit"`
	Error string `json:"error,omitempty"`
}

// maxOrder bounds a message; a SOCK_SEQPACKET packet must fit the socket's send buffer.
const maxOrder = 128 << 10

// exitNoCommand is what a shell gives for a command that cannot be run.
const exitNoCommand = 127

// serveExec takes orders until the run ends.
func (d *demo) serveExec(ctx context.Context) error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: d.work.path(socketName), Net: "unixpacket"})
	if err != nil {
		return fmt.Errorf("listen for demo exec: %w", err)
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				out := outcome{}
				if err := d.obey(ctx, c, &out); err != nil {
					out = outcome{exitNoCommand, err.Error()}
				}
				b, _ := json.Marshal(out)
				c.Write(b)
			}()
		}
	}()
	return nil
}

// obey carries out one order.
func (d *demo) obey(ctx context.Context, c *net.UnixConn, out *outcome) error {
	b, oob := make([]byte, maxOrder), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return err
	}
	files, err := descriptors(oob[:oobn])
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var o order
	if err == nil {
		err = json.Unmarshal(b[:n], &o)
	}
	if err == nil && len(files) != 3 {
		err = fmt.Errorf("want three descriptors, have %d", len(files))
	}
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	ns, err := d.namespace(o.Name)
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: o.Path, Args: o.Args, Env: o.Env, Dir: o.Dir, Stdin: files[0], Stdout: files[1], Stderr: files[2]}
	p, err := ns.Start(cmd)
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, maxOrder)
		for {
			n, err := c.Read(b)
			var s orderSignal
			if err != nil || json.Unmarshal(b[:n], &s) != nil {
				p.Kill()
				return
			}
			p.Signal(syscall.Signal(s.Signal))
		}
	}()
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		<-p.Done()
	}
	out.Exit = cmd.ProcessState.ExitCode()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		out.Exit = 128 + int(s.Signal())
	}
	return nil
}

// namespace finds a router by the name of its place, or the server behind it by that with -host.
func (d *demo) namespace(name string) (*lab.NS, error) {
	var names []string
	for _, s := range d.sites() {
		if name == s.Spec.Name {
			return s.Router, nil
		}
		if name == s.Spec.Name+"-"+hostName {
			return s.Hosts[0].NS, nil
		}
		names = append(names, s.Spec.Name, s.Spec.Name+"-"+hostName)
	}
	return nil, fmt.Errorf("no %q in the lab: there are %s", name, strings.Join(names, ", "))
}

func (d *demo) sites() []*lab.Site {
	if d.lab == nil {
		return nil
	}
	return d.lab.Sites()
}

func descriptors(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

// execInLab is the asking side.
func execInLab(name string, args []string) (code int, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return exitNoCommand, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return exitNoCommand, err
	}
	c, err := dialRun()
	if err != nil {
		return exitFailed, err
	}
	defer c.Close()
	dir, _ := os.Getwd()
	b, err := json.Marshal(order{name, path, args, os.Environ(), dir})
	if err == nil && len(b) > maxOrder {
		err = fmt.Errorf("the command and its environment have %d bytes: at most %d", len(b), maxOrder)
	}
	if err == nil {
		_, _, err = c.WriteMsgUnix(b, unix.UnixRights(0, 1, 2), nil)
	}
	if err != nil {
		return exitFailed, fmt.Errorf("ask the run: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	go func() {
		for s := range signals {
			b, _ := json.Marshal(orderSignal{int(s.(syscall.Signal))})
			c.Write(b)
		}
	}()
	reply := make([]byte, maxOrder)
	n, err := c.Read(reply)
	var out outcome
	if err == nil {
		err = json.Unmarshal(reply[:n], &out)
	}
	switch {
	case errors.Is(err, io.EOF):
		return exitFailed, errors.New("the run has ended")
	case err != nil:
		return exitFailed, fmt.Errorf("hear from the run: %w", err)
	case out.Error != "":
		return out.Exit, errors.New(out.Error)
	}
	return out.Exit, nil
}

// dialRun finds the run that is going on, the newest if there are several.
func dialRun() (*net.UnixConn, error) {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), workPattern+"*", socketName))
	if err != nil {
		return nil, err
	}
	var newest *net.UnixConn
	var at int64
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().UnixNano() < at {
			continue
		}
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			continue // a crash left it
		}
		if newest != nil {
			newest.Close()
		}
		newest, at = c, info.ModTime().UnixNano()
	}
	if newest == nil {
		return nil, errors.New("no demo is running: start one with `make demo KEEP=1`")
	}
	return newest, nil
}
