// Package consensus keeps one document, the state of consensus/state, the same on every router.
//
// A few routers, the voters, agree on each change with Raft (github.com/hashicorp/raft); all others, the
// watchers, follow. A router is what the state says it is: Members lists the voters.
//
//	Propose, anywhere ──▶ leader ──▶ Raft ──▶ machine.Apply, on every voter ──▶ hub ──▶ View, Changed
//	                                                                             │
//	                                              commands, or the whole state   ▼
//	                                 watcher: state.Apply ◀──────────────── serveWatch
//
// # What is promised
//
//   - A command that Propose answered for is on the disks of a majority of the voters, and is carried out
//     once, however often it was asked for with the same key.
//   - Read(Linearizable) sees every command that was answered for before it began, on any router.
//   - A state with the same index is the same everywhere; the leader compares hashes and says Diverged.
//   - A router that hears from nobody keeps its last good state, over restarts too.
//
// What is not: against a malicious voter nothing is promised. A watcher believes the voter it follows.
//
// # Streams
//
// Two kinds, both handed in and both between routers that proved who they are: ALPNRaft, which only
// voters open (consensus/transport), and ALPNRequest, with one request each (request.go). The node dials
// routers by their number and knows nothing of addresses.
//
// # On disk
//
//	last-good-state     an image (files.go) of the newest state that this router saw
//	raft/disk           the name of this log; with the router's number it is Raft's name for us
//	raft/log/           consensus/raftlog
//	raft/snapshots/     two images with what Raft needs to know of them (snapshots.go)
//	raft/audit/         the audit trail (audit.go)
//
// The files, in the order in which one may read them: node, hub, bootstrap, voter, fsm, roles, leader and
// ruler (with membership, placement, timeouts), propose, transfer, read, probe, request, serve, follow,
// status, backup.
package consensus
