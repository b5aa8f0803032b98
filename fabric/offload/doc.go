// Package offload is what the kernel leaves undone when it hands over many packets as one, and how it is
// done with the fewest touches of the data. It is pure.
//
// # Super-packets
//
// A TUN device with a vnet header (virtio 1.1 section 5.1.6) gives and takes super-packets: one IP header,
// one TCP or UDP header and up to 64 KiB of payload, which stand for the row of packets that they would be
// cut into (TSO, USO). What a super-packet means is a Meta beside it.
//
// # Partial checksums
//
// The same header says when a transport checksum is partial: the field then holds only the sum of the
// pseudo-header, and whoever sends the packet to a wire must add the rest. Between two routers nobody
// does: the seal of the datagram vouches for its octets, the partial sum travels as it is (a bit of the wire
// header says so), and the kernel at the far end is told the same that the near one told us.
//
// # Cutting in place
//
//	read:   | IP TCP | payload 0     | payload 1     | payload 2 |
//	next:   | IP TCP | payload 0     |                                   sealed, then free
//	next:            ···· | IP TCP | payload 1     |                     header 1 over the end of payload 0
//	next:                            ···· | IP TCP | payload 2 |
//
// A Splitter moves no payload. It writes the header of each packet over the payload before it, which the
// caller has sealed into another place by then.
//
// # Joining in place
//
// A Merger says where to decrypt the next packet to: so that its payload, should it continue the packet
// before, falls directly behind that one's. Its header then lies over the last octets of the payload before,
// which the Merger keeps meanwhile and puts back. Only a packet that does not continue is moved.
//
// What is joined is what a kernel would join (Linux GRO): neighbours in one flow with the same header but
// for length, sequence number and identification, of the same size but the last. Cut again by the same rules
// it gives the same octets. Packets whose checksum is complete are joined only when it is right, for joining
// forgets it, and a wrong one must arrive as wrong as it was sent.
package offload
