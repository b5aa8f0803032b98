// Package raftlog keeps Raft's log and its term and vote on disk, in a Pebble of its own, for
// github.com/hashicorp/raft (LogStore and StableStore).
//
// Keys and values, integers big endian:
//
//	┌──────────────────┬──────────────────────────────────────────────────────────────────────┐
//	│ 'v'              │ format (1)                                                           │
//	│ 's' name         │ what Raft stores under name: its term, its vote                      │
//	│ 'l' index (8)    │ format (1) type (1) term (8) appended at (8) ext length (4) ext data │
//	│                  │ … CRC-32C (4)                                                        │
//	└──────────────────┴──────────────────────────────────────────────────────────────────────┘
//
// The time is nanoseconds since 1970, zero for none. The checksum covers the index in the key and the
// value before it, so that an entry that lies in the wrong place is found as well as one that was
// damaged. Open reads the whole log and refuses one with a hole or a damaged entry: Raft would find it
// at an hour of its own choosing, in the middle of an election.
//
// Raft does not survive a log store that failed and goes on: after a failed append its idea of the
// last entry is wrong (raft.go, appendEntries). So any failed write, and a write that takes longer
// than the limit, is given to Fatal, which ends the process, and the store refuses everything from
// then on. A leader whose disk hangs would otherwise keep its lease and commit nothing (raft#503).
package raftlog
