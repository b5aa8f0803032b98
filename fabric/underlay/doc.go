// Package underlay is the UDP socket between routers. One port carries two protocols: QUIC, which
// makes the sessions, and Galleon's sealed datagrams. They are told apart by their first octet (see
// package wire), and only this package reads the socket: quic-go, given a *net.UDPConn, would read by
// its descriptor and take packets that are not its own.
//
//	              +--------------------------- Socket ---------------------------+
//	kernel  <---->| recvmmsg/sendmmsg     first octet    128-191 ----> ReadBatch  |----> fabric
//	  or          |                                       64-127,                 |
//	simulated     |                                      192-255 --> queue 1,024  |
//	network       |                                                    |          |
//	              |                     SetCarrier <---- virtual ---- QUIC() <----|----> quic-go
//	              |                     InjectQUIC ----> queue                    |
//	              +---------------------------------------------------------------+
//
// # Who reads
//
// Nothing moves unless somebody sits in ReadBatch: the goroutine that handles Galleon packets also
// fills QUIC's queue. A process that speaks QUIC only runs Pump instead. One reader at a time; the
// others wait for it. Any number of goroutines may write. After Close, or past the read deadline,
// all of them return.
//
// # Virtual addresses
//
// A pair without a direct path holds its QUIC session through relays. quic-go knows only addresses,
// so a router that is reached through relays has a virtual one (VirtualAddr): packets that QUIC sends
// there go to the carrier, and what the carrier brings is put into QUIC's queue with InjectQUIC. A
// datagram from the real network that claims a virtual source is dropped.
//
// # Sizes
//
// Don't-fragment is set on every packet. One that the interface cannot carry comes back as a
// TooBigError; one that some router on the way cannot carry is lost in silence, by choice
// (IP_PMTUDISC_PROBE): the cache of the kernel may be poisoned by whoever forges an ICMP message, and
// full-size probes find the truth. QUIC() offers quic-go no descriptor, and quic-go then leaves its
// packets at their initial 1,280 octets: what fits every path also fits into a session packet.
package underlay
