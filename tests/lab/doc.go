// Package lab builds data centres out of one machine: network namespaces for routers and the hosts behind
// them, joined by a wide-area network (package wan) whose delays are those measured between real cloud regions.
// It needs no other program, only the kernel, and with user namespaces no root either.
//
//	┌ host ──────┐ veth ┌ router ──────────┐ TUN ┌──────────┐ TUN ┌ router ──────────┐ veth ┌ host ──────┐
//	│ eth0 ──────┼──────┼─ lan0      wan0 ─┼─────┤ wan.     ├─────┼─ wan0      lan0 ─┼──────┼────── eth0 │
//	│ 10.1.0.10  │      │ 10.1.0.1   198.18│.1.1 │ Network  │     │                  │      │            │
//	└────────────┘      └──────────────────┘     └──────────┘     └──────────────────┘      └────────────┘
//
// A program or test calls Enter first, then New with a Topology, and finds a Site for every name in it. Each
// Site has the router's namespace (NS) and one for every host. In a namespace one can run a function (Do), dial and listen,
// start a process, ping, measure with a UDP stream, serve and fetch files, and capture packets.
//
// Nothing outlives the process: namespaces are held by file descriptors alone and have no names, interfaces go with
// their namespaces, started processes die with the thread that started them, and the process namespace that Enter makes
// takes along whatever those have started in turn. There is nothing to clean up after a crash.
package lab
