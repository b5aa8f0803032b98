package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
)

// welcomeByte is what an acceptor sends when it has accepted. A later version of the welcome would be another ALPN's.
const welcomeByte = 'G'

// serverTLS answers every handshake with the credential of the moment, and asks for a certificate unless the client
// wants to join. A client that offers several protocols would leave the choice, and so whether it must show a
// certificate, open: it is refused.
func (e *Endpoint) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			cred, err := e.cfg.Credential()
			if err != nil {
				return nil, err
			}
			if len(hello.SupportedProtos) != 1 {
				return nil, fmt.Errorf("client offers %d protocols, want one", len(hello.SupportedProtos))
			}
			if hello.SupportedProtos[0] == ALPNJoin && e.cfg.Join != nil {
				conf := cred.TLS([]string{ALPNJoin}, nil, true)
				conf.ClientAuth, conf.VerifyConnection = tls.NoClientCert, nil
				return conf, nil
			}
			conf := cred.TLS(e.served(), nil, true)
			// Strangers end here. Whom our authority signed for passes, to be told in words what is wrong: serve
			// looks again, and makes no Session of one that does not pass.
			conf.VerifyConnection = func(cs tls.ConnectionState) error {
				_, err := cred.CheckPeer(keys.RawChain(cs), e.cfg.Verify)
				if err != nil && !keys.Known(err) {
					e.emit(Refused{Addr: addrPort(hello.Conn.RemoteAddr()), ALPN: cs.NegotiatedProtocol, Err: err})
					return err
				}
				return nil
			}
			return conf, nil
		},
	}
}

func (e *Endpoint) served() []string {
	var alpns []string
	for a := range e.cfg.Handlers {
		alpns = append(alpns, a)
	}
	if len(alpns) == 0 {
		return []string{"galleon-none"} // crypto/tls would take none for any
	}
	return alpns
}

// serverConfig is for all ALPNs at once, since quic-go takes it before it knows which. The bounds of each are then kept
// by the budget and by Session.Accept.
func (e *Endpoint) serverConfig() *quic.Config {
	most := Limits{Streams: 1, StreamWindow: initialStreamWindow, SessionWindow: initialSessionWindow}
	for alpn := range e.cfg.Handlers {
		l := e.limits(alpn)
		most.Streams = max(most.Streams, l.Streams)
		most.StreamWindow = max(most.StreamWindow, l.StreamWindow)
		most.SessionWindow = max(most.SessionWindow, l.SessionWindow)
	}
	c := quicConfig(most, e.budget)
	c.MaxIncomingUniStreams = -1
	return c
}

// acceptSlack is how many times Limits.Streams an acceptor takes: a stream that its dialler has closed, and does not
// count any more, may still be in the hands of a handler here.
const acceptSlack = 2

func quicConfig(l Limits, b *budget) *quic.Config {
	return &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     initialStreamWindow,
		MaxStreamReceiveWindow:         uint64(max(l.StreamWindow, initialStreamWindow)),
		InitialConnectionReceiveWindow: initialSessionWindow,
		MaxConnectionReceiveWindow:     uint64(max(l.SessionWindow, initialSessionWindow)),
		AllowConnectionWindowIncrease:  b.grow,
		MaxIncomingStreams:             acceptSlack * l.Streams,
		Allow0RTT:                      false,
	}
}

// serve takes a connection whose TLS handshake is complete.
func (e *Endpoint) serve(conn *quic.Conn) {
	t := conn.Context().Value(ticketKey{}).(*ticket)
	t.done()
	state := conn.ConnectionState().TLS
	if state.NegotiatedProtocol == ALPNJoin {
		e.serveJoin(conn)
		return
	}
	s, err := e.accept(conn, state, t.account)
	if err != nil {
		e.emit(Refused{Addr: addrPort(conn.RemoteAddr()), ALPN: state.NegotiatedProtocol, Err: err})
		_ = conn.CloseWithError(quic.ApplicationErrorCode(codeOf(err)), printable(err.Error()))
		return
	}
	ctx, cancel := context.WithCancel(conn.Context())
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	e.cfg.Handlers[s.alpn](ctx, s)
	if e.stopped.Err() != nil {
		s.Close(CodeShutdown, shuttingDown)
	}
	s.Close(CodeDone, "done")
}

// accept makes a Session of a connection, when its peer may have one.
func (e *Endpoint) accept(conn *quic.Conn, state tls.ConnectionState, a *account) (*Session, error) {
	if e.cfg.Handlers[state.NegotiatedProtocol] == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotServed, state.NegotiatedProtocol)
	}
	cred, err := e.cfg.Credential()
	if err != nil {
		return nil, err
	}
	id, err := cred.CheckPeer(keys.RawChain(state), e.cfg.Verify)
	if err != nil {
		return nil, err
	}
	if err := e.admit(id, state.NegotiatedProtocol, false); err != nil {
		return nil, err
	}
	s := newSession(e, conn, id, false)
	if err := e.add(s, a); err != nil {
		return nil, err
	}
	if err := welcome(conn); err != nil {
		s.Close(CodeProtocol, err.Error())
		return nil, err
	}
	return s, nil
}

func welcome(conn *quic.Conn) error {
	u, err := conn.OpenUniStream() // does not wait: a dialler of ours has room for one
	if err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	if _, err := u.Write([]byte{welcomeByte}); err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	// The dialler may have read it, and have closed the stream from his end, by now: Close then says that the
	// stream was cancelled, which is no reason to end a session that both have.
	_ = u.Close()
	return nil
}

// awaitWelcome is the dialler's end of welcome.
func awaitWelcome(ctx context.Context, conn *quic.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, welcomeTimeout)
	defer cancel()
	u, err := conn.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok {
		_ = u.SetReadDeadline(d)
	}
	var b [1]byte
	n, err := u.Read(b[:])
	if n == 1 && b[0] == welcomeByte {
		u.CancelRead(streamClosed)
		return nil
	}
	if err == nil {
		err = errors.New("its welcome is not understood")
	}
	return err
}
