// Package transport carries hashicorp/raft's calls between routers, over streams that it is handed.
//
// A stream is whatever Dial gives and Serve is given: a QUIC stream of a connection on which both sides
// proved with a certificate which router they are. Calls on a stream follow each other, each one frame
// there and one back; a stream on which anything went wrong is closed and never used again.
//
//	┌───────────────┬──────────┬───────────────────────────────────────────────────────────────┐
//	│ length (4)    │ kind (1) │ body; length counts kind and body, at most MaxFrame           │
//	└───────────────┴──────────┴───────────────────────────────────────────────────────────────┘
//	kinds there: 1 AppendEntries  2 RequestVote  3 RequestPreVote  4 InstallSnapshot  5 TimeoutNow
//	kinds back:  129 the answer   130 an error, as text
//
// Bodies are the fields in the order of codec.go: integers big endian, byte strings with a length of
// four bytes. After an InstallSnapshot frame the snapshot follows as it is, of the size that the frame
// names.
//
// Why not raft.NetworkTransport: it bounds neither the size of a message nor the time that it may take,
// and never asks whether the sender is who it says it is. Here a call names only the sender's disk; its
// router is the certificate's. Before Raft sees a call a Guard looks at it (guard.go), because some
// calls that any member can make would end the cluster: a term close to 2^64 stops elections for good,
// an undecodable configuration entry is stored first and then panics at every start.
//
// Heartbeats take the same way as everything else. Raft can be told to answer them beside its main loop
// (SetHeartbeatHandler), and then logs can diverge (raft#695).
package transport
