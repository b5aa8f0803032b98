package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// What a caller may want to tell apart. Why a certificate was refused is said with the sentinels of package keys,
// whichever end refused it.
var (
	// ErrWrongRouter: a good router answered, but not the one that was dialled.
	ErrWrongRouter = errors.New("another router answers at this address")
	// ErrWrongAuthority: the cluster that answers a join is not the one that made the token.
	ErrWrongAuthority = errors.New("who answers does not belong to the cluster of this token")
	// ErrNotServed: the peer does not speak this protocol (ALPN) here.
	ErrNotServed = errors.New("the peer does not serve this protocol here")
	// ErrNotAdmitted: the peer knows this router and does not let it use this protocol.
	ErrNotAdmitted = errors.New("the peer does not admit this router to this protocol")
	// ErrBusy: the peer turned the connection away to protect itself, or is not ready yet.
	ErrBusy = errors.New("the peer takes no new connection now")
	// ErrUnreachable: nothing came back.
	ErrUnreachable = errors.New("no answer")
	// ErrSessionClosed: the session has ended; errors that match it are a *ClosedError.
	ErrSessionClosed = errors.New("session has ended")
	// ErrPeerClosed: the peer has closed its end of the stream and takes no more bytes.
	ErrPeerClosed = errors.New("the peer has closed the stream")
	// ErrReset: the peer broke off in the middle of what it was sending.
	ErrReset = errors.New("the peer has reset the stream")
	// ErrClosed: the endpoint or the pool has been closed here.
	ErrClosed = errors.New("tunnel is closed")
)

// Code says to the other end, in a number, why a session was closed.
type Code uint64

// The codes. They are on the wire: append only.
const (
	CodeDone          Code = 0  // nothing more to do
	CodeShutdown      Code = 1  // the process is going down
	CodeProtocol      Code = 2  // the peer broke a rule of the protocol above
	CodeReplaced      Code = 3  // another session takes this one's place
	CodeBusy          Code = 4  // a limit was met
	CodeNotAdmitted   Code = 5  // Config.Admit said no
	CodeIncarnation   Code = 16 // keys.ErrWrongIncarnation
	CodeExpired       Code = 17 // keys.ErrExpired
	CodeNotYetValid   Code = 18 // keys.ErrNotYetValid
	CodeUnknownRouter Code = 19 // keys.ErrUnknownRouter
	CodeRevoked       Code = 20 // keys.ErrRevoked
	CodeWrongKey      Code = 21 // keys.ErrWrongKey
	CodeRefused       Code = 22 // any other reason of the verifier's
)

var codeErrors = map[Code]error{
	CodeBusy: ErrBusy, CodeNotAdmitted: ErrNotAdmitted,
	CodeIncarnation: keys.ErrWrongIncarnation, CodeExpired: keys.ErrExpired, CodeNotYetValid: keys.ErrNotYetValid,
	CodeUnknownRouter: keys.ErrUnknownRouter, CodeRevoked: keys.ErrRevoked, CodeWrongKey: keys.ErrWrongKey,
}

// codeOf is the way back: the code that tells a peer about err.
func codeOf(err error) Code {
	for c, e := range codeErrors {
		if errors.Is(err, e) {
			return c
		}
	}
	return CodeRefused
}

// ClosedError says who ended a session, and why. It matches ErrSessionClosed, and the sentinel of its code.
type ClosedError struct {
	Peer   topo.RouterID
	Remote bool   // the peer ended it
	Code   Code   // meaningful when Reason is set
	Reason string // in the words of who ended it; empty when nobody did
	Cause  error  // when nobody did: silence, a reset, the loss of the socket
}

func (e *ClosedError) Error() string {
	peer := "the peer" // of a join, who is nobody yet
	if e.Peer != 0 {
		peer = e.Peer.String()
	}
	switch {
	case e.Reason == "" && e.Cause != nil:
		return fmt.Sprintf("session with %s ended: %v", peer, e.Cause)
	case e.Remote:
		return fmt.Sprintf("session ended by %s: %q", peer, e.Reason)
	default:
		return fmt.Sprintf("session with %s ended here: %s", peer, e.Reason)
	}
}

// Unwrap lets errors.Is find ErrSessionClosed and the sentinel of the code. The cause is left out on purpose: quic-go's
// are timeouts and net.ErrClosed to whoever asks, which callers take for a deadline or a local Close.
func (e *ClosedError) Unwrap() []error {
	if s := codeErrors[e.Code]; s != nil && e.Reason != "" {
		return []error{ErrSessionClosed, s}
	}
	return []error{ErrSessionClosed}
}

// cause is an error that prints as another and is nothing else.
type cause string

func (c cause) Error() string { return string(c) }

// closedError makes a ClosedError of what quic-go says about the end of a connection.
func closedError(peer topo.RouterID, err error) *ClosedError {
	e := &ClosedError{Peer: peer}
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		e.Remote, e.Code, e.Reason = app.Remote, Code(app.ErrorCode), printable(app.ErrorMessage)
		if e.Reason == "" {
			e.Reason = fmt.Sprintf("code %d", e.Code)
		}
		return e
	}
	e.Cause = cause(why(err))
	return e
}

// why puts an end of a connection into words, for people who do not know QUIC.
func why(err error) string {
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var reset *quic.StatelessResetError
	switch {
	case errors.As(err, &idle):
		return fmt.Sprintf("the peer was silent for %v", idleTimeout)
	case errors.As(err, &handshake):
		return "the handshake took too long"
	case errors.As(err, &reset):
		return "the peer has restarted and does not know the session any more"
	case err == nil:
		return "it was closed"
	default:
		return err.Error()
	}
}

// dialError puts the failure of a dial into words and sentinels.
func dialError(peer topo.RouterID, addr netip.AddrPort, alpn string, err error) error {
	return fmt.Errorf("dial %v at %v (%s): %w", peer, addr, alpn, explain(alpn, err))
}

// TLS alerts (RFC 8446 §6) as QUIC carries them (RFC 9001 §4.8).
const (
	alertBadCertificate quic.TransportErrorCode = 0x100 + 42
	alertInternal       quic.TransportErrorCode = 0x100 + 80
	alertNoALPN         quic.TransportErrorCode = 0x100 + 120
)

func explain(alpn string, err error) error {
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var transport *quic.TransportError
	var app *quic.ApplicationError
	switch {
	case errors.As(err, &idle), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: check that the router runs, and that UDP to this address and port is let through both ways", ErrUnreachable)
	case errors.As(err, &app):
		return closedReason(app)
	case errors.As(err, &transport) && transport.Remote:
		switch transport.ErrorCode {
		case alertBadCertificate:
			return fmt.Errorf("%w: the peer does not know the authority that issued ours: is it of another cluster?", keys.ErrStranger)
		case alertNoALPN:
			return fmt.Errorf("%w: %s: it is another process than thought, or an older version", ErrNotServed, alpn)
		case quic.ConnectionRefused, alertInternal:
			return fmt.Errorf("%w: it has no certificate yet, or too many connections: try again shortly", ErrBusy)
		}
	}
	return err
}

func closedReason(app *quic.ApplicationError) error {
	sentinel := codeErrors[Code(app.ErrorCode)]
	if sentinel == nil || !app.Remote {
		return fmt.Errorf("refused with code %d: %q", app.ErrorCode, printable(app.ErrorMessage))
	}
	return fmt.Errorf("%w; the peer says: %q", sentinel, printable(app.ErrorMessage))
}

// maxReason bounds the words that go with a close, sent or received.
const maxReason = 300

// printable makes a peer's words safe to show: of bounded length, without control characters.
func printable(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
