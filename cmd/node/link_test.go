package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
)

// fakeForward is a forward half that only remembers.
type fakeForward struct {
	mu      sync.Mutex
	st      ForwardStatus
	puts    int
	refuse  error
	current forwardConfig
}

func (f *fakeForward) configure(c forwardConfig, hash string, at catalogAt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.puts++
	f.current, f.st.Config, f.st.Catalog = c, hash, at
	return nil
}

func (f *fakeForward) status() ForwardStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st
}

func (f *fakeForward) explain(to topo.RouterID) (fabric.Explanation, error) {
	if to == 9 {
		return fabric.Explanation{}, errors.New("no such router")
	}
	e := fabric.Explanation{}
	e.To, e.Why = to, "because"
	return e, nil
}

// restart forgets everything, as a new process would.
func (f *fakeForward) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.st = ForwardStatus{Boot: bootID()}
}

func (f *fakeForward) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.puts
}

// serveForward serves a fake half on a Unix socket until the test ends or stop is called.
func serveForward(t *testing.T, f *fakeForward) (dial func(context.Context) (net.Conn, error), stop func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: linkServer(f)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	stop = sync.OnceFunc(func() { s.Close(); <-done })
	t.Cleanup(stop)
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}, stop
}

func TestLinkKeepsForwardAsWanted(t *testing.T) {
	f := &fakeForward{}
	dial, stop := serveForward(t, f)
	l := newLinkClient(dial)
	t.Cleanup(l.close)
	if _, err := l.status(); err == nil {
		t.Error("there is a status before anybody asked")
	}
	step := func(what string, want bool) {
		t.Helper()
		got, err := l.sync(t.Context())
		if err != nil || got != want {
			t.Fatalf("%s: configured %v, %v; want %v", what, got, err, want)
		}
	}
	kicked := func() bool {
		select {
		case <-l.kick:
			return true
		default:
			return false
		}
	}
	step("nothing is wanted yet", false)
	config := forwardConfig{Fabric: fabric.Config{Self: 3, Cluster: "g5a1c"}, Key: []byte("key")}
	l.want(config, catalogAt{1, 10})
	if !kicked() {
		t.Error("a new configuration does not wake the loop")
	}
	step("a first configuration", true)
	if f.current.Fabric.Self != 3 || string(f.current.Key) != "key" || f.status().Catalog != (catalogAt{1, 10}) {
		t.Errorf("forward has %+v", f.current)
	}
	step("it has it", false)
	l.want(config, catalogAt{1, 11})
	if kicked() {
		t.Error("the same configuration wakes the loop")
	}
	step("the same of a later catalog", false)
	f.restart()
	step("forward started again", true)
	if st, err := l.status(); err != nil || st.Catalog != (catalogAt{1, 11}) {
		t.Errorf("status %+v, %v", st, err)
	}

	// A control half that started again with the catalog of before.
	again := newLinkClient(dial)
	t.Cleanup(again.close)
	old := config
	old.Fabric.FabricMTU = 1300
	again.want(old, catalogAt{1, 9})
	if got, err := again.sync(t.Context()); got || err != nil {
		t.Errorf("an older catalog: configured %v, %v", got, err)
	}
	again.want(old, catalogAt{1, 12})
	if got, err := again.sync(t.Context()); !got || err != nil {
		t.Errorf("a later catalog: configured %v, %v", got, err)
	}
	again.want(config, catalogAt{2, 3})
	if got, err := again.sync(t.Context()); !got || err != nil {
		t.Errorf("a restored cluster: configured %v, %v", got, err)
	}

	f.refuse = errors.New("the certificate has expired")
	again.want(old, catalogAt{2, 4})
	if _, err := again.sync(t.Context()); err == nil || !strings.Contains(err.Error(), "the certificate has expired") {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := again.status(); err == nil {
		t.Error("the status hides the refusal")
	}

	stop()
	if _, err := again.sync(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("forward is gone: %v", err)
	}
}

func TestLinkExplains(t *testing.T) {
	dial, _ := serveForward(t, &fakeForward{})
	l := newLinkClient(dial)
	t.Cleanup(l.close)
	if e, err := l.explain(t.Context(), 3); err != nil || e.To != 3 || e.Why != "because" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := l.explain(t.Context(), 9); err == nil || !strings.Contains(err.Error(), "no such router") {
		t.Errorf("%v", err)
	}
}

// TestLinkRefusesWhatItCannotRead sends what control would not.
func TestLinkRefusesWhatItCannotRead(t *testing.T) {
	f := &fakeForward{}
	dial, _ := serveForward(t, f)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}, Timeout: 5 * time.Second}
	for _, k := range []struct{ method, path, body string }{
		{"PUT", "/config?incarnation=1&index=1", "{"},
		{"PUT", "/config", "{}"},
		{"PUT", "/config?incarnation=-1&index=1", "{}"},
		{"GET", "/explain?to=mars", ""},
		{"DELETE", "/config", ""},
		{"GET", "/", ""},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), k.method, "http://forward"+k.path, strings.NewReader(k.body))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s %s: status %d", k.method, k.path, resp.StatusCode)
		}
	}
	if f.count() != 0 {
		t.Error("forward was configured")
	}
}
