package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Bounds on what a call may hold.
const (
	// MaxFrame bounds a frame's kind and body in bytes.
	MaxFrame = 8 << 20
	// MaxEntries bounds the entries of one AppendEntries call.
	MaxEntries = 1024
	// MaxConfiguration bounds an encoded Raft configuration in bytes.
	MaxConfiguration = 64 << 10
	// MaxSnapshot bounds a snapshot in bytes: the state's bound and room for what lies round it.
	MaxSnapshot = 24 << 20
	// entryOverhead is what an entry takes beside its data and extensions, in bytes.
	entryOverhead = 8 + 8 + 1 + 8 + 4 + 4
	maxServerID   = 64
	maxErrorText  = 1024
)

type kind uint8

const (
	kindAppend   kind = 1
	kindVote     kind = 2
	kindPreVote  kind = 3
	kindSnapshot kind = 4
	kindTimeout  kind = 5
	kindAnswer   kind = 129
	kindError    kind = 130
)

var errShort = errors.New("the message ends early")

// appendCall gives the body of a call.
func appendCall(b []byte, call any) (kind, []byte, error) {
	u64 := binary.BigEndian.AppendUint64
	switch c := call.(type) {
	case *raft.AppendEntriesRequest:
		b = appendHeader(b, c.RPCHeader)
		b = u64(u64(u64(u64(b, c.Term), c.PrevLogEntry), c.PrevLogTerm), c.LeaderCommitIndex)
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.Entries)))
		for _, l := range c.Entries {
			b = u64(u64(b, l.Index), l.Term)
			b = append(b, byte(l.Type))
			var at int64
			if !l.AppendedAt.IsZero() {
				at = l.AppendedAt.UnixNano()
			}
			b = appendBytes(appendBytes(u64(b, uint64(at)), l.Extensions), l.Data)
		}
		return kindAppend, b, nil
	case *raft.RequestVoteRequest:
		b = appendHeader(b, c.RPCHeader)
		return kindVote, appendBool(u64(u64(u64(b, c.Term), c.LastLogIndex), c.LastLogTerm), c.LeadershipTransfer), nil
	case *raft.RequestPreVoteRequest:
		b = appendHeader(b, c.RPCHeader)
		return kindPreVote, u64(u64(u64(b, c.Term), c.LastLogIndex), c.LastLogTerm), nil
	case *raft.InstallSnapshotRequest:
		b = appendHeader(b, c.RPCHeader)
		b = append(b, byte(c.SnapshotVersion))
		b = u64(u64(u64(u64(u64(b, c.Term), c.LastLogIndex), c.LastLogTerm), c.ConfigurationIndex), uint64(c.Size))
		return kindSnapshot, appendBytes(b, c.Configuration), nil
	case *raft.TimeoutNowRequest:
		return kindTimeout, appendHeader(b, c.RPCHeader), nil
	}
	return 0, nil, fmt.Errorf("raft call %T is not known", call)
}

// parseCall reads a call that a router sent. The header's address is that router's, whatever it says.
func parseCall(from topo.RouterID, k kind, body []byte) (any, error) {
	r := &reader{b: body}
	h := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(r.u8()), ID: r.bytes(maxServerID), Addr: []byte(from.String())}
	var call any
	switch k {
	case kindAppend:
		c := &raft.AppendEntriesRequest{RPCHeader: h, Leader: h.Addr, Term: r.u64(), PrevLogEntry: r.u64(), PrevLogTerm: r.u64(), LeaderCommitIndex: r.u64()}
		n := r.u32()
		if n > MaxEntries || int(n) > len(r.b)/entryOverhead {
			return nil, fmt.Errorf("%d entries in %d bytes: more than %d, or than there is room for", n, len(r.b), MaxEntries)
		}
		for range n {
			l := &raft.Log{Index: r.u64(), Term: r.u64(), Type: raft.LogType(r.u8())}
			if at := int64(r.u64()); at != 0 {
				l.AppendedAt = time.Unix(0, at)
			}
			l.Extensions = r.bytes(MaxFrame)
			l.Data = r.bytes(MaxFrame)
			c.Entries = append(c.Entries, l)
		}
		call = c
	case kindVote:
		call = &raft.RequestVoteRequest{RPCHeader: h, Candidate: h.Addr, Term: r.u64(), LastLogIndex: r.u64(), LastLogTerm: r.u64(), LeadershipTransfer: r.bool()}
	case kindPreVote:
		call = &raft.RequestPreVoteRequest{RPCHeader: h, Term: r.u64(), LastLogIndex: r.u64(), LastLogTerm: r.u64()}
	case kindSnapshot:
		c := &raft.InstallSnapshotRequest{RPCHeader: h, Leader: h.Addr, SnapshotVersion: raft.SnapshotVersion(r.u8()),
			Term: r.u64(), LastLogIndex: r.u64(), LastLogTerm: r.u64(), ConfigurationIndex: r.u64(), Size: int64(r.u64())}
		c.Configuration = r.bytes(MaxConfiguration)
		call = c
	case kindTimeout:
		call = &raft.TimeoutNowRequest{RPCHeader: h}
	default:
		return nil, fmt.Errorf("call of kind %d is not known", k)
	}
	return call, r.end()
}

// appendAnswer gives the body of an answer.
func appendAnswer(b []byte, answer any) ([]byte, error) {
	u64 := binary.BigEndian.AppendUint64
	switch a := answer.(type) {
	case *raft.AppendEntriesResponse:
		return appendBool(appendBool(u64(u64(b, a.Term), a.LastLog), a.Success), a.NoRetryBackoff), nil
	case *raft.RequestVoteResponse:
		return appendBool(u64(b, a.Term), a.Granted), nil
	case *raft.RequestPreVoteResponse:
		return appendBool(u64(b, a.Term), a.Granted), nil
	case *raft.InstallSnapshotResponse:
		return appendBool(u64(b, a.Term), a.Success), nil
	case *raft.TimeoutNowResponse:
		return b, nil
	}
	return nil, fmt.Errorf("raft answer %T is not known", answer)
}

// parseAnswer reads an answer into the struct that Raft waits with.
func parseAnswer(body []byte, answer any) error {
	r := &reader{b: body}
	h := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}
	switch a := answer.(type) {
	case *raft.AppendEntriesResponse:
		*a = raft.AppendEntriesResponse{RPCHeader: h, Term: r.u64(), LastLog: r.u64(), Success: r.bool(), NoRetryBackoff: r.bool()}
	case *raft.RequestVoteResponse:
		*a = raft.RequestVoteResponse{RPCHeader: h, Term: r.u64(), Granted: r.bool()}
	case *raft.RequestPreVoteResponse:
		*a = raft.RequestPreVoteResponse{RPCHeader: h, Term: r.u64(), Granted: r.bool()}
	case *raft.InstallSnapshotResponse:
		*a = raft.InstallSnapshotResponse{RPCHeader: h, Term: r.u64(), Success: r.bool()}
	case *raft.TimeoutNowResponse:
		*a = raft.TimeoutNowResponse{RPCHeader: h}
	default:
		return fmt.Errorf("raft answer %T is not known", answer)
	}
	return r.end()
}

func appendHeader(b []byte, h raft.RPCHeader) []byte {
	return appendBytes(append(b, byte(h.ProtocolVersion)), h.ID)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes a body apart. The first thing that does not fit is kept in err and everything after it
// reads as zero, so that the callers above can be one expression.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		if r.err == nil {
			r.err = errShort
		}
		return make([]byte, min(n, 8))
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) bool() bool {
	v := r.u8()
	if v > 1 && r.err == nil {
		r.err = fmt.Errorf("a truth value of %d", v)
	}
	return v == 1
}

func (r *reader) bytes(most int) []byte {
	n := r.u32()
	if r.err == nil && int64(n) > int64(most) {
		r.err = fmt.Errorf("%d bytes where at most %d belong", n, most)
	}
	if r.err != nil || n == 0 {
		return nil
	}
	if int64(n) > int64(len(r.b)) {
		r.err = errShort
		return nil
	}
	return append([]byte(nil), r.take(int(n))...)
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.b))
	}
	return r.err
}
