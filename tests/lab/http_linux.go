package lab

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"
)

// FileServer serves files over HTTP from a namespace until it is closed.
type FileServer struct {
	server *http.Server
	done   chan struct{}
}

// Limits of the file server's connections: what does not come in time will not come.
const headerTimeout = 10 * time.Second

// Serve serves HTTP at an address like 10.1.0.10:80 in the namespace.
func (n *NS) Serve(address string, h http.Handler) (*FileServer, error) {
	l, err := n.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP in %s: %w", n.name, err)
	}
	s := &FileServer{server: &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.server.Serve(l)
	}()
	return s, nil
}

// ServeFiles serves a directory tree.
func (n *NS) ServeFiles(address, dir string) (*FileServer, error) {
	return n.Serve(address, http.FileServer(http.Dir(dir)))
}

// Close ends the server and its connections.
func (s *FileServer) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}

// Fetched is what a fetch brought.
type Fetched struct {
	Status int
	Bytes  int64
	Sum    [sha256.Size]byte
	Took   time.Duration // from the call to the last byte
}

// Client gives an HTTP client whose connections start in the namespace. Addresses in URLs are numeric.
// Each call gives a client of its own; Transport's CloseIdleConnections lets its connections go.
func (n *NS) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.Dial, ResponseHeaderTimeout: time.Minute}}
}

// Fetch gets a URL from the namespace, hashes the body and drops it.
func (n *NS) Fetch(ctx context.Context, url string) (Fetched, error) {
	start := time.Now()
	c := n.Client()
	defer c.CloseIdleConnections()
	f, err := fetch(ctx, c, url)
	f.Took = time.Since(start)
	if err != nil {
		return f, fmt.Errorf("fetch %s from %s: %w", url, n.name, err)
	}
	return f, nil
}

func fetch(ctx context.Context, c *http.Client, url string) (f Fetched, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return f, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	f.Status = resp.StatusCode
	h := sha256.New()
	if f.Bytes, err = io.Copy(h, resp.Body); err != nil {
		return f, err
	}
	h.Sum(f.Sum[:0])
	if f.Status != http.StatusOK {
		return f, fmt.Errorf("answered %s", resp.Status)
	}
	return f, nil
}
