package consensus

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// A stream of ALPNRequest carries one request, as frames:
//
//	length (4), kind (1), body; length counts kind and body. Integers are big endian, bodies JSON,
//	but for msgState, whose body is an image.
//
// There, one of the requests; back, msgOK or msgError. A msgWatch is answered by msgHeartbeat,
// msgState and msgDeltas without end, and the watcher sends msgSeen in between.
type msg uint8

const (
	msgPropose   msg = 1
	msgReadIndex msg = 2
	msgProbe     msg = 3
	msgInfo      msg = 4
	msgWatch     msg = 5
	msgAudit     msg = 6
	msgTransfer  msg = 7
	msgSeen      msg = 8
	msgStatus    msg = 9

	msgOK        msg = 129
	msgError     msg = 130
	msgState     msg = 131
	msgDeltas    msg = 132
	msgHeartbeat msg = 133
)

const (
	// maxMessage bounds a frame; a command takes a third more in JSON. maxStateMessage is for msgState.
	maxMessage      = 4 << 20
	maxStateMessage = maxImage + 1
	// messageWithin is how long a frame may take once it has begun, in either direction.
	messageWithin = 10 * time.Second
	// requestWithin bounds a request whose caller sets no earlier end.
	requestWithin = 30 * time.Second
)

type (
	proposeRequest struct {
		Command []byte `json:"command"`
		// Within is how long the caller waits, in milliseconds.
		Within int64 `json:"within_ms"`
	}
	indexReply struct {
		Index uint64 `json:"index"`
	}
	// probeReply says which server answered: a router with a new disk is not the voter that it was.
	probeReply struct {
		Server raft.ServerID `json:"server"`
		Term   uint64        `json:"term"`
	}
	infoRequest struct {
		// HashAt asks for the hash of the state at an index.
		HashAt uint64 `json:"hash_at,omitempty"`
	}
	watchRequest struct {
		After uint64 `json:"after"`
	}
	seenMessage struct {
		Index uint64 `json:"index"`
	}
	auditRequest struct {
		From uint64 `json:"from"`
		N    int    `json:"n"`
	}
	auditReply struct {
		Entries []state.AuditEntry `json:"entries"`
		Head    state.AuditHead    `json:"head"`
	}
	transferRequest struct {
		To topo.RouterID `json:"to,omitempty"`
	}
	deltasMessage struct {
		Deltas []delta `json:"deltas"`
	}
)

// heartbeat is what a voter tells those who follow it, at once and then every heartbeatEvery.
type heartbeat struct {
	Leader topo.RouterID `json:"leader,omitempty"`
	Term   uint64        `json:"term"`
	Index  uint64        `json:"index"`
	// Age bounds how long ago this was the newest state of all, in milliseconds.
	Age int64 `json:"age_ms"`
	// Servers are Raft's, as of ConfIndex.
	Servers   []raft.ServerID `json:"servers"`
	ConfIndex uint64          `json:"conf_index"`
	// Hash is the state's at Index, in hex, now and then.
	Hash string `json:"hash,omitempty"`
}

// failure codes.
const (
	failNotLeader = "not-leader" // nothing was done; Leader says who may do it
	failUnknown   = "unknown"    // it may have been done
	failRefused   = "refused"
	failInternal  = "internal"
)

// failure is why a request was not answered.
type failure struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Leader  topo.RouterID `json:"leader,omitempty"`
}

func (f *failure) Error() string { return f.Message }

func notLeader(leader topo.RouterID) error {
	return &failure{Code: failNotLeader, Message: "this router is not the leader", Leader: leader}
}

func sendMessage(c net.Conn, m msg, body any) error {
	var b []byte
	switch v := body.(type) {
	case nil:
	case []byte:
		b = v
	default:
		var err error
		if b, err = json.Marshal(v); err != nil {
			return err
		}
	}
	if err := c.SetWriteDeadline(time.Now().Add(messageWithin)); err != nil {
		return err
	}
	f := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(b)), uint32(len(b)+1))
	_, err := c.Write(append(append(f, byte(m)), b...))
	return err
}

// receiveMessage reads a frame. The first byte may take wait, the rest messageWithin.
func receiveMessage(c net.Conn, wait time.Duration) (msg, []byte, error) {
	var head [5]byte
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c, head[:1]); err != nil {
		return 0, nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(messageWithin)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c, head[1:]); err != nil {
		return 0, nil, err
	}
	n, m := binary.BigEndian.Uint32(head[:4]), msg(head[4])
	most := uint32(maxMessage)
	if m == msgState {
		most = maxStateMessage
	}
	if n < 1 || n > most {
		return 0, nil, fmt.Errorf("a message of %d bytes: want 1 to %d", n, most)
	}
	body := make([]byte, 0, min(n-1, 256<<10))
	for uint32(len(body)) < n-1 {
		at := len(body)
		body = append(body, make([]byte, min(int(n)-1-at, 256<<10))...)
		if _, err := io.ReadFull(c, body[at:]); err != nil {
			return 0, nil, err
		}
	}
	return m, body, nil
}

// ask makes one request and reads its one answer. A failure that the other side sent is a *failure.
func (n *Node) ask(ctx context.Context, to topo.RouterID, m msg, request, reply any) error {
	running, err := n.running()
	if err != nil {
		return &failure{Code: failNotLeader, Message: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	c, err := n.cfg.DialRequest(ctx, to)
	if err != nil {
		return &failure{Code: failNotLeader, Message: fmt.Sprintf("open a stream to %s: %v", to, err)}
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := sendMessage(c, m, request); err != nil {
		return fmt.Errorf("ask %s: %w", to, err)
	}
	got, body, err := receiveMessage(c, requestWithin)
	if err != nil {
		return fmt.Errorf("ask %s: %w", to, errors.Join(ctx.Err(), err))
	}
	switch got {
	case msgOK:
		return json.Unmarshal(body, reply)
	case msgError:
		f := &failure{}
		if err := json.Unmarshal(body, f); err != nil {
			return fmt.Errorf("ask %s: %w", to, err)
		}
		return f
	}
	return fmt.Errorf("ask %s: an answer of kind %d", to, got)
}
