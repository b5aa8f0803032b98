package transport

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hashicorp/raft"
)

// remoteError is what the other router's Raft said: the stream is in order.
type remoteError string

func (e remoteError) Error() string { return string(e) }

// AppendEntries sends entries or a heartbeat. Entries that do not fit into one frame are cut from the
// call itself: Raft counts as sent what the call holds when it returns, and sends the rest next.
func (t *Transport) AppendEntries(_ raft.ServerID, to raft.ServerAddress, call *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	call.Entries = fit(call.Entries)
	return t.call(to, call, answer)
}

// fit gives as many entries as one frame holds, and at least one.
func fit(entries []*raft.Log) []*raft.Log {
	room := MaxFrame - 4096
	for i, l := range entries {
		room -= entryOverhead + len(l.Data) + len(l.Extensions)
		if room < 0 && i > 0 || i == MaxEntries {
			return entries[:i]
		}
	}
	return entries
}

// RequestVote asks for a vote.
func (t *Transport) RequestVote(_ raft.ServerID, to raft.ServerAddress, call *raft.RequestVoteRequest, answer *raft.RequestVoteResponse) error {
	return t.call(to, call, answer)
}

// RequestPreVote asks whether a vote would be given.
func (t *Transport) RequestPreVote(_ raft.ServerID, to raft.ServerAddress, call *raft.RequestPreVoteRequest, answer *raft.RequestPreVoteResponse) error {
	return t.call(to, call, answer)
}

// TimeoutNow tells a follower to stand for election at once.
func (t *Transport) TimeoutNow(_ raft.ServerID, to raft.ServerAddress, call *raft.TimeoutNowRequest, answer *raft.TimeoutNowResponse) error {
	return t.call(to, call, answer)
}

// call makes one call. When an idle stream turns out to be dead the call is made once more on a new
// one: every Raft call may be repeated, and a lost vote would cost a round of the election.
func (t *Transport) call(to raft.ServerAddress, call, answer any) error {
	router := RouterOf(to)
	k, body, err := appendCall(nil, call)
	if err != nil {
		return err
	}
	for {
		c, pooled, err := t.get(router)
		if err != nil {
			return err
		}
		err = t.exchange(c, k, body, answer)
		var said remoteError
		if err == nil || errors.As(err, &said) {
			t.put(router, c)
			return err
		}
		t.drop(c)
		if !pooled || timedOut(err) {
			return fmt.Errorf("raft call to %s: %w", router, err)
		}
		t.Forget(router)
	}
}

func (t *Transport) exchange(c net.Conn, k kind, body []byte, answer any) error {
	if err := writeFrame(c, k, body, t.cfg.Timeout); err != nil {
		return err
	}
	return t.readAnswer(c, answer)
}

func (t *Transport) readAnswer(c net.Conn, answer any) error {
	k, body, err := readFrame(c, t.cfg.Timeout, t.cfg.Timeout)
	if err != nil {
		return err
	}
	switch k {
	case kindAnswer:
		return parseAnswer(body, answer)
	case kindError:
		return remoteError(body[:min(len(body), maxErrorText)])
	}
	return fmt.Errorf("an answer of kind %d", k)
}

// InstallSnapshot sends a snapshot on a stream of its own.
func (t *Transport) InstallSnapshot(_ raft.ServerID, to raft.ServerAddress, call *raft.InstallSnapshotRequest, answer *raft.InstallSnapshotResponse, data io.Reader) error {
	router := RouterOf(to)
	k, body, err := appendCall(nil, call)
	if err != nil {
		return err
	}
	c, pooled, err := t.get(router)
	if err != nil {
		return err
	}
	if pooled {
		// An idle stream may be dead, and the data can be read only once.
		t.drop(c)
		t.Forget(router)
		if c, _, err = t.get(router); err != nil {
			return err
		}
	}
	defer t.drop(c)
	if err = writeFrame(c, k, body, t.cfg.Timeout); err == nil {
		var n int64
		n, err = io.CopyBuffer(steadyWriter{c, t.cfg.Timeout}, struct{ io.Reader }{io.LimitReader(data, call.Size)}, make([]byte, 64<<10))
		if err == nil && n < call.Size {
			err = io.ErrUnexpectedEOF
		}
	}
	if err == nil {
		err = t.readAnswer(c, answer)
	}
	if err != nil {
		return fmt.Errorf("send snapshot at %d to %s: %w", call.LastLogIndex, router, err)
	}
	return nil
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
