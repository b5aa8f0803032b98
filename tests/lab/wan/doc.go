// Package wan is a wide-area network in one process: it carries the IP packets of several sites to one
// another and treats them on the way as an ocean would.
//
// Each site has a TUN device in a network namespace of its own; a Network holds the other end of all of
// them. What the kernel of one site sends out of its device, the Network reads, puts on the Link from
// that site to the destination's, and writes into the destination's device when the Link says so.
//
//	 site hangzhou                  Network (one thread)                    site tokyo
//	┌──────────────┐  read   ┌───────────────────────────────┐  write  ┌──────────────┐
//	│ kernel ─ TUN │ ──────▶ │ Link hangzhou→tokyo ─▶ heap   │ ──────▶ │ TUN ─ kernel │
//	│              │ ◀────── │ heap ◀─ Link tokyo→hangzhou   │ ◀────── │              │
//	└──────────────┘         └───────────────────────────────┘         └──────────────┘
//
// A Link is one direction between two sites, and pure: it is handed the time and a packet and answers
// when the packet arrives, if at all. In the order in which a packet meets them:
//
//	cut        a cut link delivers nothing, nor what was in flight when it was cut
//	mtu        a packet larger than this vanishes without a word (a black hole)
//	queue      the packet waits for those before it; when the bytes waiting exceed the limit, it is dropped
//	rate       its bytes leave one after the other, at so many bits a second
//	loss       a lost packet has used its share of queue and rate
//	delay      propagation
//	duplicate  it arrives twice
//	reorder    it arrives later than its turn, so that those behind it overtake
//
// The bytes counted are those of the IP packet; what a link layer would add is not.
//
// # Super-packets
//
// A kernel hands a TUN device with a virtual-network header up to 64 KiB of one TCP or UDP flow at a
// time, with the size at which it is to be cut (TSO, USO). Such a super-packet stands for its segments:
// the Link judges each by itself, and the Network cuts only where neighbours part company, because one is
// lost, late or doubled, or because a whole would take longer than a millisecond to leave. Carrying the rest
// whole is what lets one thread carry several Gbit/s. Segments that stay together arrive together, when the
// last of them does.
//
// # What it cannot do
//
// The thread sleeps until the next arrival is due, and the kernel may wake it late. Network.Stats says by
// how much; whoever measures with this network should look.
package wan
