package consensus

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// aloneFor is a watcher that knows nobody.
func aloneFor(t testing.TB) *Node {
	none := func(context.Context, topo.RouterID) (net.Conn, error) { return nil, errDown }
	n, err := Open(Config{Self: 7, Cluster: "c", Dir: "d", FS: vfs.NewMem(), Rand: rand.NewChaCha8([32]byte{}), DialRaft: none, DialRequest: none, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever a router asks, and whatever a voter tells a watcher, nothing panics, and a state only comes
// out of an image or of a command that fits.
func FuzzMessages(f *testing.F) {
	c, _ := state.EncodeCommand(createBucket("bucket"))
	d, _ := json.Marshal(deltasMessage{[]delta{{0, 1, c}}})
	h, _ := json.Marshal(heartbeat{Leader: 1, Index: 3})
	img, _ := image{Cluster: "c", State: &state.State{Index: 4, NextRouter: 1}}.encode()
	for m, b := range map[msg][]byte{
		msgPropose: []byte(`{"command":"AXt9","within_ms":5}`), msgReadIndex: nil, msgProbe: nil, msgInfo: []byte(`{"hash_at":3}`),
		msgAudit: []byte(`{"from":1,"n":5}`), msgTransfer: []byte(`{"to":"r3"}`), msgDeltas: d, msgHeartbeat: h, msgState: img, msgStatus: nil,
	} {
		f.Add(byte(m), b)
	}
	f.Fuzz(func(t *testing.T, m byte, body []byte) {
		n := aloneFor(t)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if msg(m) != msgTransfer && msg(m) != msgReadIndex {
			_, _ = n.answer(ctx, 3, msg(m), body)
		}
		before := n.View()
		switch msg(m) {
		case msgDeltas:
			_ = n.takeDeltas(body)
		case msgHeartbeat:
			_ = n.takeHeartbeat(body)
		case msgState:
			_ = n.takeState(body)
		}
		if n.View().Index < before.Index {
			t.Errorf("the state went back from %d to %d", before.Index, n.View().Index)
		}
	})
}

// A frame says how long it is; what it says is not believed before it arrives.
func FuzzFrames(f *testing.F) {
	f.Add(binary.BigEndian.AppendUint32(nil, maxMessage))
	f.Add([]byte{0, 0, 0, 1, 130})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, y := net.Pipe()
		defer y.Close()
		go func() {
			_, _ = x.Write(b)
			x.Close()
		}()
		for {
			_, body, err := receiveMessage(y, time.Second)
			if err != nil {
				return
			}
			if len(body) > len(b) {
				t.Fatalf("%d bytes out of %d", len(body), len(b))
			}
		}
	})
}
