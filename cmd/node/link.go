package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg"
)

// The link between the two halves is HTTP on a local stream: control asks, forward answers. Control puts
// the whole configuration whenever what forward reports is not what it should have, so that it does not
// matter which of the two started last:
//
//	control                                     forward
//	  GET /status               ─────────▶  {boot, config: hash of what it was given, catalog, fabric, kernel}
//	  PUT /config?… {…}         ─────────▶  (when the hash is another one, and of no older a catalog)
//	  GET /explain?to=r7        ─────────▶  which way packets go to r7, and why
//
// Forward has no disk: it keeps the last configuration in memory, for as long as it lives. A control half that
// has just started may know less than that: its disk has the catalog of a moment before. It then waits until
// it has caught up, and nobody's packets are dropped for it.

// maxLinkBody bounds what either side reads of the other, in bytes.
const maxLinkBody = 32 << 20

// linkTimeout bounds one call; both ends are on one machine.
const linkTimeout = 5 * time.Second

// forwardConfig is all that forward is told.
type forwardConfig struct {
	Fabric fabric.Config `json:"fabric"`
	// Pools are the ranges of all routers' loopbacks: guarded whole, also those that nobody has yet.
	Pools []netip.Prefix `json:"pools"`
	// Key and Chain are the router's credential in PEM.
	Key   []byte        `json:"key"`
	Chain []byte        `json:"chain"`
	Grace time.Duration `json:"grace"`
}

// catalogAt is a moment in the life of the catalog. A restored cluster counts anew.
type catalogAt struct {
	Incarnation uint32 `json:"incarnation"`
	Index       uint64 `json:"index"`
}

// before says whether the catalog at b is a later one of the same cluster's life.
func (a catalogAt) before(b catalogAt) bool {
	return a.Incarnation == b.Incarnation && a.Index < b.Index
}

func (a catalogAt) query() string {
	return fmt.Sprintf("?incarnation=%d&index=%d", a.Incarnation, a.Index)
}

func parseCatalogAt(q url.Values) (a catalogAt, err error) {
	incarnation, err := strconv.ParseUint(q.Get("incarnation"), 10, 32)
	if err == nil {
		a.Incarnation = uint32(incarnation)
		a.Index, err = strconv.ParseUint(q.Get("index"), 10, 64)
	}
	return a, err
}

// hashOf names an encoded configuration. It covers the key, but does not give it away.
func hashOf(encoded []byte) string {
	h := sha256.Sum256(encoded)
	return hex.EncodeToString(h[:8])
}

func (c forwardConfig) credential() (*keys.Credential, error) {
	key, err := keys.ParsePrivate(c.Key)
	if err != nil {
		return nil, err
	}
	chain, err := keys.ParseChain(c.Chain)
	if err != nil {
		return nil, err
	}
	return &keys.Credential{Key: key, Chain: chain, Grace: c.Grace}, nil
}

// ForwardStatus is what forward says of itself.
type ForwardStatus struct {
	// Boot is made at random when the process starts.
	Boot string `json:"boot"`
	// Config is the hash of the configuration in force, empty for none.
	Config string `json:"config"`
	// Catalog is where the catalog stood that it was made of.
	Catalog catalogAt     `json:"catalog"`
	Fabric  fabric.Status `json:"fabric"`
	Kernel  netcfg.Status `json:"kernel"`
}

// forwardHalf is what the link's server needs of the half that it stands before.
type forwardHalf interface {
	configure(c forwardConfig, hash string, at catalogAt) error
	status() ForwardStatus
	explain(to topo.RouterID) (fabric.Explanation, error)
}

// linkServer answers control.
func linkServer(f forwardHalf) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, f.status()) })
	mux.HandleFunc("PUT /config", func(w http.ResponseWriter, r *http.Request) {
		var c forwardConfig
		at, err := parseCatalogAt(r.URL.Query())
		var b []byte
		if err == nil {
			b, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxLinkBody))
		}
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// The hash is of the bytes as they came: encoded once more they may be others.
		if err := f.configure(c, hashOf(b), at); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /explain", func(w http.ResponseWriter, r *http.Request) {
		to, err := topo.ParseRouterID(r.URL.Query().Get("to"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e, err := f.explain(to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		writeJSON(w, e)
	})
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// linkClient is control's end.
type linkClient struct {
	http *http.Client

	kick chan struct{} // capacity 1: another configuration is wanted

	mu     sync.Mutex
	last   ForwardStatus
	err    error
	wanted []byte    // encoded; never changed, only replaced
	hash   string    // its
	at     catalogAt // the newest that gives it
}

func newLinkClient(dial func(context.Context) (net.Conn, error)) *linkClient {
	return &linkClient{
		err:  errors.New("the forward process was not asked yet"),
		kick: make(chan struct{}, 1),
		http: &http.Client{Timeout: linkTimeout, Transport: &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			MaxIdleConns:    2,
			IdleConnTimeout: time.Minute,
		}},
	}
}

// want sets what forward shall have by the catalog at a moment; sync brings it there.
func (l *linkClient) want(c forwardConfig, at catalogAt) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode forward's configuration: %w", err)
	}
	hash := hashOf(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = at
	if hash == l.hash {
		return nil
	}
	l.wanted, l.hash = b, hash
	select {
	case l.kick <- struct{}{}:
	default:
	}
	return nil
}

// status gives what forward last said, or why it does not answer.
func (l *linkClient) status() (ForwardStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.err
}

// sync asks forward for its status and gives it the configuration when it has another. It says whether
// forward was configured by this call.
func (l *linkClient) sync(ctx context.Context) (configured bool, err error) {
	l.mu.Lock()
	wanted, hash, at := l.wanted, l.hash, l.at
	l.mu.Unlock()
	var st ForwardStatus
	err = l.call(ctx, http.MethodGet, "/status", nil, &st)
	if err == nil && wanted != nil && st.Config != hash && !at.before(st.Catalog) {
		if err = l.call(ctx, http.MethodPut, "/config"+at.query(), wanted, nil); err == nil {
			st.Config, st.Catalog = hash, at
			configured = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if err == nil {
		l.last = st
	}
	return configured, err
}

func (l *linkClient) explain(ctx context.Context, to topo.RouterID) (fabric.Explanation, error) {
	var e fabric.Explanation
	err := l.call(ctx, http.MethodGet, "/explain?to="+to.String(), nil, &e)
	return e, err
}

func (l *linkClient) close() { l.http.CloseIdleConnections() }

func (l *linkClient) call(ctx context.Context, method, path string, body []byte, reply any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://forward"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask forward %s: %w", path, err)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return fmt.Errorf("the forward process does not answer: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxLinkBody))
	if err != nil {
		return fmt.Errorf("read forward's answer to %s: %w", path, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("forward refused %s: %s", path, bytes.TrimSpace(b))
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(b, reply); err != nil {
		return fmt.Errorf("read forward's answer to %s: %w", path, err)
	}
	return nil
}

// bootID names one run of a process.
func bootID() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}
