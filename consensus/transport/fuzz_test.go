package transport

import (
	"bytes"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Whatever parses encodes to the same bytes, and neither parsing nor the guard panics.
func FuzzCall(f *testing.F) {
	for _, c := range calls {
		k, b, err := appendCall(nil, c.call)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(k), b)
	}
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "r1-aa", Address: "r1"}, {Suffrage: raft.Nonvoter, ID: "r2-bb", Address: "r2"}}})
	for _, c := range []any{
		&raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 3, LastLogIndex: 8, LastLogTerm: 2, Size: 5, Configuration: conf},
		&raft.AppendEntriesRequest{RPCHeader: header, Term: 3, Entries: []*raft.Log{{Index: 1, Term: 3, Type: raft.LogConfiguration, Data: conf}}},
	} {
		k, b, _ := appendCall(nil, c)
		f.Add(byte(k), b)
	}
	rules := Rules{Term: func() uint64 { return 1 }, Member: func(topo.RouterID) bool { return true }}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		call, err := parseCall(1, kind(k), body)
		if err != nil {
			return
		}
		k2, again, err := appendCall(nil, call)
		if err != nil || byte(k2) != k || !bytes.Equal(again, body) {
			t.Errorf("%d %x became %d %x, %v", k, body, k2, again, err)
		}
		_ = rules.Admit(1, call)
	})
}

// What the guard lets pass does not panic in Raft's own decoder.
func FuzzConfiguration(f *testing.F) {
	f.Add(raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "r1-aa", Address: "r1"}}}))
	f.Add([]byte{0x81, 0xa7, 'S', 'e', 'r', 'v', 'e', 'r', 's', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkConfiguration(b) == nil {
			raft.DecodeConfiguration(b)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, c := range calls {
		b, _ := appendAnswer(nil, c.answer)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range calls {
			a := reflect.New(reflect.TypeOf(c.answer).Elem()).Interface()
			if parseAnswer(b, a) != nil {
				continue
			}
			if again, err := appendAnswer(nil, a); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%T: %x became %x, %v", a, b, again, err)
			}
		}
	})
}

// A stream of noise ends in an error and takes no more memory than arrived.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 5, 0})
	f.Add([]byte{0, 127, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, y := net.Pipe()
		go func() {
			_, _ = x.Write(b)
			x.Close()
		}()
		for {
			_, body, err := readFrame(y, time.Second, time.Second)
			if err != nil {
				break
			}
			if len(body) > len(b) {
				t.Fatalf("%d bytes out of %d", len(body), len(b))
			}
		}
		y.Close()
	})
}
