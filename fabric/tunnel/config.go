package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/galleon-net/galleon/fabric/keys"
)

// Config is what an Endpoint is given.
type Config struct {
	// Name tells endpoints that share a private key apart ("forward", "control"), so that a stateless reset from
	// one cannot end a connection of the other (RFC 9000 §21.11).
	Name string
	// Conn carries the packets. A *net.UDPConn gets quic-go's fast paths. The endpoint reads from it until Close
	// and does not close it. SetReadDeadline must wake a blocked ReadFrom.
	Conn net.PacketConn
	// Key is the router's private key; it exists before the first certificate does. Only keys derived from it are
	// used: a restarted router then tells its peers at once that their connections are gone.
	Key keys.Private
	// Credential returns the credential of the moment, for every handshake anew; an error refuses the handshake.
	Credential func() (*keys.Credential, error)
	// Verify asks the catalog about a peer whose certificate is good; nil believes all of them.
	Verify keys.Verifier
	// Admit says whether a peer may open sessions under an ALPN to us; nil lets every router.
	Admit func(peer keys.Identity, alpn string) error
	// Handlers accept sessions, by ALPN. An ALPN without one is refused in the handshake.
	Handlers map[string]Handler
	// Join, when set, serves ALPNJoin to clients without a certificate.
	Join JoinHandler
	// Limits override DefaultLimits by ALPN.
	Limits map[string]Limits
	// ReceiveBudget in bytes, 0 for DefaultReceiveBudget. A quarter of the memory that the process may use is
	// a good value.
	ReceiveBudget int64
	// MaxSessions, 0 for DefaultMaxSessions.
	MaxSessions int
	// Emit receives events, from several goroutines; it must not block. Nil drops them.
	Emit func(Event)
}

// check refuses a config, its defaults filled in, that could not work.
func (c *Config) check() error {
	if c.Conn == nil || c.Credential == nil {
		return errors.New("both Conn and Credential must be set")
	}
	if c.ReceiveBudget < 4*initialSessionWindow {
		return fmt.Errorf("ReceiveBudget is %d bytes, want at least %d", c.ReceiveBudget, 4*initialSessionWindow)
	}
	if c.MaxSessions < 1 {
		return fmt.Errorf("MaxSessions is %d, want at least 1", c.MaxSessions)
	}
	for alpn, l := range c.Limits {
		if l.Streams < 1 || l.StreamWindow < initialStreamWindow || l.SessionWindow < initialSessionWindow {
			return fmt.Errorf("limits of %s are %+v, want at least 1 stream and windows of %d and %d bytes", alpn, l, initialStreamWindow, initialSessionWindow)
		}
	}
	for alpn, h := range c.Handlers {
		if h == nil || alpn == ALPNJoin {
			return fmt.Errorf("handlers[%q]: want a handler, and joining is for Join", alpn)
		}
	}
	return nil
}

// Handler serves one session that a peer dialled. The session is closed when it returns. ctx ends with the session
// or with the Run of its endpoint.
type Handler func(ctx context.Context, s *Session)

// JoinHandler serves one client that has no certificate. The connection is bounded in bytes and time, and closed
// when it returns; ctx ends at that time too.
type JoinHandler func(ctx context.Context, from netip.AddrPort, c net.Conn)
