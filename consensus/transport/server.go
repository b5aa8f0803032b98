package transport

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Serve answers the calls that come in on a stream of a router, until the stream or the transport ends.
// It closes the stream.
func (t *Transport) Serve(from topo.RouterID, c net.Conn) {
	if err := t.admit(from, c); err != nil {
		_ = c.Close()
		t.cfg.Refused(from, err)
		return
	}
	defer t.release(from, c)
	for {
		k, body, err := readFrame(c, idleStream, t.cfg.Timeout)
		if err != nil {
			return
		}
		if err := t.answer(from, c, k, body); err != nil {
			return
		}
	}
}

func (t *Transport) admit(from topo.RouterID, c net.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.served[from] >= maxServed {
		return fmt.Errorf("router %s has %d raft streams open already", from, maxServed)
	}
	t.served[from]++
	t.open[c] = struct{}{}
	t.serving.Add(1)
	return nil
}

func (t *Transport) release(from topo.RouterID, c net.Conn) {
	t.drop(c)
	t.mu.Lock()
	if t.served[from]--; t.served[from] == 0 {
		delete(t.served, from)
	}
	t.mu.Unlock()
	t.serving.Done()
}

// answer takes one call through the guard to Raft and its answer back. An error closes the stream.
func (t *Transport) answer(from topo.RouterID, c net.Conn, k kind, body []byte) error {
	call, err := parseCall(from, k, body)
	if err == nil {
		err = t.cfg.Guard.Admit(from, call)
	}
	if err != nil {
		t.cfg.Refused(from, err)
		_ = writeFrame(c, kindError, fmt.Appendf(nil, "refused: %.*v", maxErrorText, err), t.cfg.Timeout)
		return err
	}
	answers := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{Command: call, RespChan: answers}
	var data *steadyReader
	if s, ok := call.(*raft.InstallSnapshotRequest); ok {
		data = &steadyReader{c: c, left: s.Size, within: t.cfg.Timeout}
		rpc.Reader = data
	}
	// A call that waits longer than its sender does is not worth Raft's time.
	late := time.NewTimer(t.cfg.Timeout)
	defer late.Stop()
	select {
	case t.calls <- rpc:
	case <-late.C:
		return fmt.Errorf("raft did not take a call within %v", t.cfg.Timeout)
	case <-t.ctx.Done():
		return ErrClosed
	}
	select {
	case a := <-answers:
		if data != nil && data.left > 0 {
			return io.ErrUnexpectedEOF // the rest of the snapshot would be read as a frame
		}
		if a.Error != nil {
			text := a.Error.Error()
			return writeFrame(c, kindError, []byte(text[:min(len(text), maxErrorText)]), t.cfg.Timeout)
		}
		b, err := appendAnswer(nil, a.Response)
		if err != nil {
			return err
		}
		return writeFrame(c, kindAnswer, b, t.cfg.Timeout)
	case <-t.ctx.Done():
		return ErrClosed
	}
}
