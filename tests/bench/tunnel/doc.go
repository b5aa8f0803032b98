// Command tunnel measures Galleon's tunnel beside two others and beside no tunnel, on one machine and in one run:
// `make bench-tunnel`.
//
//	┌ a ───────────────────────┐   veth, MTU 1500   ┌ b ───────────────────────┐
//	│ iperf3 -c, gen, ping     │                    │ iperf3 -s, sink          │
//	│ overlay 10.71.0.1        │                    │ overlay 10.72.0.1        │
//	│ daemon     198.18.0.1 ───┼────────────────────┼─── 198.18.0.2     daemon │
//	└──────────────────────────┘                    └──────────────────────────┘
//
// Each system is started afresh for each round, in two network namespaces of its own, alone on the machine, measured, and
// stopped; the order turns from round to round. Nothing is pinned and no priority is given by the benchmark: daemons and load
// share the processors as the kernel likes. (With -sessions each program has a scheduling group of its own, as services have.
// The peers do worse so on two processors, therefore it is not the default.) Galleon's forward process asks for a nice value
// of -10 and its control process for 10, as everywhere.
//
// # The systems and their settings
//
//   - galleon: galleond of this tree, all settings the defaults. A cluster is made on a and b joins it by a token, as operators
//     do; both announce a prefix. AES-128-GCM where the processor has AES; fabric MTU as `cluster init` sets it.
//   - wireguard-go: golang.zx2c4.com/wireguard@latest, in the foreground, keyed through its UAPI socket. MTU 1420, its default;
//     it has no other settings. ChaCha20-Poly1305 is the protocol's only cipher.
//   - nebula: github.com/slackhq/nebula v1.11.0. Its cipher is AES (its default), MTU 1300 (its default), routines one for every two
//     processors, since both ends share them (with two on two processors it passes fewer small packets), socket
//     buffers of 10 MiB and tx_queue 1000, which its example configuration names for busy nodes; firewall open; log at error.
//   - raw: no tunnel; the load runs between the underlay addresses. It is the ceiling of the machine and of the generators.
//
// # What is measured
//
//   - tcp1, tcp4: iperf3, one and four flows, the first second left out. Mbit/s of payload that arrived.
//   - CPU seconds per gigabit, during tcp1: user and system time of the daemons of both ends with all their processes. What the
//     kernel does in soft interrupts is charged to whom it interrupts; so it is for every system.
//   - udp1200, udp64: the highest rate of UDP packets that arrives with less than 0.1 % loss, searched over offered rates (search.go),
//     and what arrives when more is offered than can be had. gen.go and sink.go make and take the packets, with sendmmsg and
//     recvmmsg; the sink looks at intervals, so that it is not woken for each packet. udp1200 has 1,200 octets of UDP payload;
//     udp64 has IP packets of 64 octets.
//   - rtt: ICMP echo, 64 octets, every millisecond, received with the kernel's time stamp so that a slow prober adds nothing; on an idle
//     tunnel, and beside one TCP flow that fills it. p50 and p99.
//   - relay (Galleon alone): routers a, b and c, where a and c have no underlay path to each other: one flow from a to c, which b
//     relays, over one flow from a to b, in the same cluster and round.
//   - rss (Galleon alone): resident memory of a router with 100 idle peers; see rss_linux.go.
//
// Before each system it is waited for the machine to be idle, and the time that a host took is noted: figures of a machine that others
// use at the same time are worth little.
//
// A ratio is one of medians over the rounds. A figure that could not be had is null in the JSON on the last line and has a line with the
// reason in the table. Programs of others are installed at run time into a cache directory outside of the tree.
package main
