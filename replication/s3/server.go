package s3

import (
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10
)

// NewServer gives an http.Server with the bounds that a public port needs. Bodies have no fixed time:
// the Handler sets a deadline for each read and write. HTTP/2 is off: its streams would pass by the
// bounds on connections, and S3 clients do not use it.
func NewServer(h http.Handler) *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		Protocols: &p,
		// What net/http would log are broken connections and strangers' bytes; requests are events.
		ErrorLog: log.New(discard{}, "", 0),
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// LimitListener bounds the connections that are open at a time, in all and from one address. A
// connection over a bound is closed as soon as it is accepted.
func LimitListener(l net.Listener, total, perAddress int) net.Listener {
	return &limitListener{Listener: l, total: total, perAddress: perAddress, open: map[string]int{}}
}

type limitListener struct {
	net.Listener
	total, perAddress int

	mu   sync.Mutex
	all  int
	open map[string]int // connections by address; no entry is 0
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = c.RemoteAddr().String()
		}
		if l.take(host) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.give(host) })}, nil
		}
		c.Close()
	}
}

func (l *limitListener) take(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || l.open[host] >= l.perAddress {
		return false
	}
	l.all++
	l.open[host]++
	return true
}

func (l *limitListener) give(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[host]--; l.open[host] == 0 {
		delete(l.open, host)
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
