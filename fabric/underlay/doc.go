// Package underlay is the UDP socket between routers. One port carries two protocols: QUIC, which
// makes the sessions, and Galleon's sealed datagrams. They are told apart by their first octet (see
// package wire), and only this package reads the socket: quic-go, given a *net.UDPConn, would read by
// its descriptor and take packets that are not its own.
//
//	             +------------------------ Socket ------------------------+
//	             |                       first octet                       |
//	kernel  ---->| program -> recvmmsg   128-191 -----------> ReadBatch(0) |----> fabric
//	  or         |        |              64-127, 192-255                   |
//	simulated    |        |                    |                           |
//	network      |        +-> recvmmsg   data -|------------> ReadBatch(1) |----> fabric
//	             |                             v                           |
//	             |               InjectQUIC -> queue 1,024 ------> QUIC()  |----> quic-go
//	             |                                                         |
//	        <----| sendmmsg by lanes <------------------------- WriteBatch |<---- fabric
//	             |                 ^---- real ----+                        |
//	             |                                +--------------- QUIC()  |<---- quic-go
//	             |               SetCarrier <- virtual                     |
//	             +---------------------------------------------------------+
//
// # Runs
//
// A Packet is a datagram or a run of up to 64 of one size, that go the same way. The kernel takes a run
// as one message, carries it through its stack once, and has it cut by the network interface or last
// thing before (UDP_SEGMENT, GSO); what arrives close together it joins again (UDP_GRO). A run that
// arrives may have QUIC packets between ours, since a kernel looks at the five-tuple and the size only;
// they are taken out. Where the kernel has neither, or refuses a run, datagrams travel one by one, and
// OnShortfall hears of it; nothing is lost by finding out.
//
// # Who reads
//
// Nothing moves unless somebody sits in ReadBatch, for every reader: the goroutines that handle Galleon
// packets also fill QUIC's queue. A process that speaks QUIC only runs Pump instead. One goroutine at a
// time for each reader; the others wait for it. Any number may write. After Close, or past the read
// deadline, all of them return.
//
// Readers have receive buffers of their own, so that a flood of data does not starve the express reader, 0,
// in which probes, QUIC and data of class control arrive. Data of other classes is divided among the others
// by its lane (reuseport_linux.go). It is a courtesy of the kernel's and not a promise: a run goes where its
// first datagram belongs, and each reader takes whatever comes.
//
// # Lanes
//
// A lane is a source port. The network divides flows by their five-tuples, and so a member of a trunk that is
// broken, or a policer that is full, is left by sending from another port. Lane 0 is the port itself, which
// is also the only one that listens.
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
