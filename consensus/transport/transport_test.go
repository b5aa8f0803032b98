package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

type open struct{}

func (open) Admit(topo.RouterID, any) error { return nil }

// pair is r1, which calls, and r2, which answers with handle.
type pair struct {
	a, b *Transport
	// mu guards what follows.
	mu      sync.Mutex
	dialled int
	conns   []net.Conn // r2's ends
	refused []error
}

func newPair(t *testing.T, g Guard, handle func(raft.RPC)) *pair {
	p := &pair{}
	p.b = New(Config{Self: 2, Guard: g, Refused: func(_ topo.RouterID, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, err)
	}})
	p.a = New(Config{Self: 1, Guard: g, Dial: func(_ context.Context, to topo.RouterID) (net.Conn, error) {
		if to != 2 {
			return nil, fmt.Errorf("no way to %s", to)
		}
		x, y := net.Pipe()
		p.mu.Lock()
		p.dialled++
		p.conns = append(p.conns, y)
		p.mu.Unlock()
		go p.b.Serve(1, y)
		return x, nil
	}})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case rpc := <-p.b.Consumer():
				handle(rpc)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.a.Close()
		p.b.Close()
		close(stop)
		<-done
	})
	return p
}

var header = raft.RPCHeader{ProtocolVersion: 3, ID: []byte("r1-aa"), Addr: []byte("r1")}

// calls is one of each, with the answer that it shall get.
var calls = []struct{ call, answer any }{
	{&raft.AppendEntriesRequest{RPCHeader: header, Leader: []byte("r1"), Term: 4, PrevLogEntry: 7, PrevLogTerm: 3, LeaderCommitIndex: 6, Entries: []*raft.Log{
		{Index: 8, Term: 4, Type: raft.LogCommand, Data: []byte("put"), AppendedAt: time.Unix(5, 6)},
		{Index: 9, Term: 4, Type: raft.LogNoop, Extensions: []byte("ext")},
	}}, &raft.AppendEntriesResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 4, LastLog: 9, Success: true}},
	{&raft.RequestVoteRequest{RPCHeader: header, Candidate: []byte("r1"), Term: 5, LastLogIndex: 9, LastLogTerm: 4, LeadershipTransfer: true},
		&raft.RequestVoteResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 5, Granted: true}},
	{&raft.RequestPreVoteRequest{RPCHeader: header, Term: 5, LastLogIndex: 9, LastLogTerm: 4},
		&raft.RequestPreVoteResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 4}},
	{&raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}}},
}

// send makes any call through the public face.
func send(t *Transport, call, answer any) error {
	switch c := call.(type) {
	case *raft.AppendEntriesRequest:
		return t.AppendEntries("r2-bb", "r2", c, answer.(*raft.AppendEntriesResponse))
	case *raft.RequestVoteRequest:
		return t.RequestVote("r2-bb", "r2", c, answer.(*raft.RequestVoteResponse))
	case *raft.RequestPreVoteRequest:
		return t.RequestPreVote("r2-bb", "r2", c, answer.(*raft.RequestPreVoteResponse))
	case *raft.TimeoutNowRequest:
		return t.TimeoutNow("r2-bb", "r2", c, answer.(*raft.TimeoutNowResponse))
	}
	panic("no such call")
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range calls {
			var got any
			p := newPair(t, Rules{Term: func() uint64 { return 1 }, Member: func(topo.RouterID) bool { return true }}, func(rpc raft.RPC) {
				got = rpc.Command
				rpc.Respond(c.answer, nil)
			})
			answer := reflect.New(reflect.TypeOf(c.answer).Elem()).Interface()
			for range 2 {
				if err := send(p.a, c.call, answer); err != nil {
					t.Fatalf("%T: %v", c.call, err)
				}
			}
			if !reflect.DeepEqual(got, c.call) {
				t.Errorf("sent %+v, arrived %+v", c.call, got)
			}
			if !reflect.DeepEqual(answer, c.answer) {
				t.Errorf("%T: answered %+v, arrived %+v", c.call, c.answer, answer)
			}
			if p.dialled != 1 {
				t.Errorf("%T: two calls took %d streams", c.call, p.dialled)
			}
		}
	})
}

func TestSnapshotStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := bytes.Repeat([]byte("state "), 3<<20/6)
		var got []byte
		p := newPair(t, open{}, func(rpc raft.RPC) {
			got, _ = io.ReadAll(rpc.Reader)
			rpc.Respond(&raft.InstallSnapshotResponse{Success: len(got) == len(data)}, nil)
		})
		call := &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 2, LastLogIndex: 9, LastLogTerm: 2, Size: int64(len(data))}
		var answer raft.InstallSnapshotResponse
		if err := p.a.InstallSnapshot("r2-bb", "r2", call, &answer, bytes.NewReader(data)); err != nil || !answer.Success || !bytes.Equal(got, data) {
			t.Errorf("snapshot: %v, %+v, %d of %d bytes", err, answer, len(got), len(data))
		}
		// One that ends early is an error on both sides, and not the end of the transport.
		answer = raft.InstallSnapshotResponse{}
		err := p.a.InstallSnapshot("r2-bb", "r2", call, &answer, bytes.NewReader(data[:1000]))
		synctest.Wait()
		if !errors.Is(err, io.ErrUnexpectedEOF) || answer.Success || len(got) != 1000 {
			t.Errorf("a short snapshot: %v, %+v, %d bytes", err, answer, len(got))
		}
	})
}

// A stream that died while it was idle costs nothing; one that is new and dead is an error.
func TestDeadIdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, open{}, func(rpc raft.RPC) { rpc.Respond(calls[1].answer, nil) })
		var answer raft.RequestVoteResponse
		vote := calls[1].call.(*raft.RequestVoteRequest)
		for range 3 {
			if err := p.a.RequestVote("r2-bb", "r2", vote, &answer); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			for _, c := range p.conns {
				c.Close()
			}
			p.mu.Unlock()
		}
		if p.dialled != 3 {
			t.Errorf("%d streams, want one for each call", p.dialled)
		}
		if err := p.a.RequestVote("r9-bb", "r9", vote, &answer); err == nil {
			t.Error("a call to nowhere went through")
		}
	})
}

func TestRaftThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, open{}, func(raft.RPC) {})
		begin := time.Now()
		var answer raft.RequestVoteResponse
		err := p.a.RequestVote("r2-bb", "r2", calls[1].call.(*raft.RequestVoteRequest), &answer)
		if err == nil || time.Since(begin) != DefaultTimeout {
			t.Errorf("%v after %v, want an error after %v", err, time.Since(begin), DefaultTimeout)
		}
	})
}

func TestErrorsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, open{}, func(rpc raft.RPC) { rpc.Respond(nil, errors.New("no thanks")) })
		var answer raft.RequestVoteResponse
		for range 2 {
			if err := p.a.RequestVote("r2-bb", "r2", calls[1].call.(*raft.RequestVoteRequest), &answer); err == nil || err.Error() != "no thanks" {
				t.Errorf("%v, want Raft's own words", err)
			}
		}
		if p.dialled != 1 {
			t.Errorf("%d streams: an answer that says no is no broken stream", p.dialled)
		}
	})
}

func TestFitCutsEntries(t *testing.T) {
	big := &raft.Log{Data: make([]byte, 1<<20)}
	var entries []*raft.Log
	for range 20 {
		entries = append(entries, big)
	}
	if got := len(fit(entries)); got != 7 {
		t.Errorf("%d entries of 1 MiB in a frame of 8 MiB", got)
	}
	_, body, err := appendCall(nil, &raft.AppendEntriesRequest{RPCHeader: header, Entries: fit(entries)})
	if err != nil || len(body)+1 > MaxFrame {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if got := len(fit([]*raft.Log{{Data: make([]byte, MaxFrame)}})); got != 1 {
		t.Errorf("an entry that fits nowhere was cut to %d: the call must fail, not spin", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, open{}, func(raft.RPC) {})
		for range maxServed + 3 {
			x, y := net.Pipe()
			defer x.Close()
			go p.b.Serve(7, y)
		}
		synctest.Wait()
		p.mu.Lock()
		if len(p.refused) != 3 || !strings.Contains(p.refused[0].Error(), "streams open already") {
			t.Errorf("refused %v, want 3", p.refused)
		}
		p.mu.Unlock()
		time.Sleep(idleStream + time.Second)
		synctest.Wait()
		if n := p.b.served[7]; n != 0 {
			t.Errorf("%d streams still served after the idle time", n)
		}
	})
}

// Each of these calls would harm a cluster, and none reaches Raft.
func TestGuard(t *testing.T) {
	conf := func(servers ...raft.Server) []byte {
		return raft.EncodeConfiguration(raft.Configuration{Servers: servers})
	}
	good := raft.Server{Suffrage: raft.Voter, ID: "r1-aa", Address: "r1"}
	appendOf := func(entries ...*raft.Log) *raft.AppendEntriesRequest {
		return &raft.AppendEntriesRequest{RPCHeader: header, Term: 10, PrevLogEntry: 5, PrevLogTerm: 3, Entries: entries}
	}
	snap := func(change func(*raft.InstallSnapshotRequest)) *raft.InstallSnapshotRequest {
		c := &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 10, LastLogIndex: 9, LastLogTerm: 3, ConfigurationIndex: 1, Size: 10, Configuration: conf(good)}
		change(c)
		return c
	}
	for _, c := range []struct {
		name string
		from topo.RouterID
		call any
		want string // empty: admitted
	}{
		{"an honest append", 1, appendOf(&raft.Log{Index: 6, Term: 3}, &raft.Log{Index: 7, Term: 10, Type: raft.LogConfiguration, Data: conf(good)}), ""},
		{"an honest snapshot", 1, snap(func(*raft.InstallSnapshotRequest) {}), ""},
		{"a term ahead by many elections", 1, &raft.RequestVoteRequest{RPCHeader: header, Term: 1000, LastLogTerm: 9}, ""},
		{"a stranger", 8, appendOf(), "not a voter"},
		{"another's name", 2, appendOf(), "calls itself"},
		{"a term near the end", 1, &raft.AppendEntriesRequest{RPCHeader: header, Term: math.MaxUint64 - 1}, "ahead of ours"},
		{"a vote of such a term", 1, &raft.RequestVoteRequest{RPCHeader: header, Term: 10 + 2*MaxTermJump}, "ahead of ours"},
		{"a pre-vote of such a term", 1, &raft.RequestPreVoteRequest{RPCHeader: header, Term: math.MaxUint64}, "ahead of ours"},
		{"a gap", 1, appendOf(&raft.Log{Index: 7, Term: 3}), "after entry 5"},
		{"an entry of a later term", 1, appendOf(&raft.Log{Index: 6, Term: 11}), "in a call of term 10"},
		{"terms that go back", 1, appendOf(&raft.Log{Index: 6, Term: 2}), "after entry 5 of term 3"},
		{"an entry type", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: 77}), "panic"},
		{"an old entry type", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: raft.LogRemovePeerDeprecated}), "panic"},
		{"a configuration of noise", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: []byte{0xc1, 9}}), "does not decode"},
		{"a configuration of nobody", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: conf()}), "without a voter"},
		{"a configuration with one twice", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: conf(good, good)}), "twice"},
		{"a configuration elsewhere", 1, appendOf(&raft.Log{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: conf(raft.Server{ID: "r1-aa", Address: "r2"})}), "at \"r2\""},
		{"an index out of reach", 1, &raft.AppendEntriesRequest{RPCHeader: header, Term: 10, PrevLogEntry: math.MaxUint64}, "last entry"},
		{"a snapshot too large", 1, snap(func(c *raft.InstallSnapshotRequest) { c.Size = MaxSnapshot + 1 }), "at most"},
		{"a snapshot of negative size", 1, snap(func(c *raft.InstallSnapshotRequest) { c.Size = -1 }), "at most"},
		{"a snapshot of an old version", 1, snap(func(c *raft.InstallSnapshotRequest) { c.SnapshotVersion = 0 }), "version 0"},
		{"a snapshot of nobody", 1, snap(func(c *raft.InstallSnapshotRequest) { c.Configuration = nil }), "configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := Rules{Term: func() uint64 { return 9 }, Member: func(r topo.RouterID) bool { return r < 5 }}
			err := g.Admit(c.from, c.call)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// What the guard refuses closes the stream and does not reach Raft.
func TestGuardStandsInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Rules{Term: func() uint64 { return 1 }, Member: func(topo.RouterID) bool { return true }}, func(rpc raft.RPC) {
			t.Errorf("Raft saw %+v", rpc.Command)
			rpc.Respond(nil, errors.New("seen"))
		})
		err := p.a.AppendEntries("r2-bb", "r2", &raft.AppendEntriesRequest{RPCHeader: header, Term: math.MaxUint64 - 1}, &raft.AppendEntriesResponse{})
		if err == nil || !strings.Contains(err.Error(), "refused: term") {
			t.Errorf("%v, want a refusal", err)
		}
		if len(p.refused) != 1 {
			t.Errorf("refused %v", p.refused)
		}
	})
}
