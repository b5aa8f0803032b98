// Package tunnel is the only door to quic-go: authenticated QUIC connections between two routers, one per
// protocol (ALPN), whose streams are handed out as net.Conn.
//
// An Endpoint owns one UDP socket, on which it accepts and dials. A Session is one connection to one peer under
// one ALPN, and exists only after the peer has been checked: there is no Session without an Identity. A Pool
// keeps sessions for callers who only want a stream to a router.
//
// # How a session begins
//
//	dialer                                           acceptor
//	1. Dial(r7, addr, alpn)
//	2.   Initial: ClientHello, one ALPN       ->     rate of this source, number of handshakes in flight:
//	                                          <-     Retry or refusal when there are too many
//	3.                                        <-     certificate chain of r7
//	4. chain, catalog, and that it is r7; else the dialer ends here with the full reason
//	5.   certificate chain                    ->     chain to our root, right cluster; else a bare TLS alert,
//	                                                 since strangers are told nothing
//	6.                                               time, incarnation, catalog, Admit; else the connection is
//	                                          <-     closed with the reason in words
//	7.                                        <-     welcome: one byte on a stream of its own
//	8. Dial returns the Session                      the ALPN's Handler runs
//
// In TLS 1.3 a client's handshake is complete before the server has looked at the client's certificate. Without
// step 7 a Dial by a revoked router would succeed and its first stream would fail with a bare alert number.
// The welcome costs one round trip per session and buys that a Session is one that both ends agreed to, and
// that a refusal says why.
//
// # Streams
//
// A stream is a net.Conn with these rules, which are those of TCP where QUIC allows it:
//   - The peer sees a stream with its first byte, or its Close: who opens it must write first.
//   - Close says that no more will be read or written. What was written before still arrives: the peer's Read
//     returns all of it, then io.EOF. The peer's Write fails with ErrPeerClosed.
//   - CloseWrite says that no more will be written (a half-close); reading goes on.
//   - A Close while a Write is under way ends the stream as reset, so that the peer never takes a part for the
//     whole: its Read returns ErrReset. Abort does the same at any time.
//   - Deadlines are those of net.Conn; a Read or Write past one returns os.ErrDeadlineExceeded, and the stream is
//     good for more.
//   - When the session ends, every Read and Write returns a *ClosedError, which says who ended it and why. It is no
//     timeout, even where silence was the reason: a caller who retries timeouts would retry for ever. What was
//     written shortly before a Session.Close may not arrive; wait for the peer's answer first.
//
// # What bounds it
//
// Every number is in limits.go with what happens when it is met: streams per session, receive windows per stream
// and per session, one budget of bytes for all receive windows of the endpoint, sessions per peer and in all,
// handshakes in flight and per source.
//
// Retry, 0-RTT, tickets: a Retry is demanded under load; 0-RTT and session tickets are off on every connection,
// because a resumed session would pass by a fresh look at the catalog.
package tunnel
