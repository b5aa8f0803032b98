// Package node assembles a router. It has two halves that run in two processes of galleond, or in one
// process in tests/world:
//
//	Forward  the mesh, its TUN device and socket, and what keeps the kernel's routes
//	Control  consensus, replication, the object store and its endpoint, the admin API
//
// Each half is put together top to bottom on one page (forward.go, control.go) from the network, disk,
// kernel and clock that it is given. The houses below do not know each other; what must cross between
// them is handed over here: the catalog becomes the mesh's configuration and the replication's topology
// (translate.go), measured round-trip times become Raft's timeouts, and the two halves talk over a local
// stream (link.go).
package node

// Version is the version of the software; releases set it with -ldflags.
var Version = "0.1.0-dev"
