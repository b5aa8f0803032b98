// Package world builds whole clusters in one process and in fake time, from the constructors that the
// daemon uses (cmd/node), and tells stories with them: regions open, oceans are cut, halves of routers
// crash, and what was promised is checked after every step.
//
// What is real: everything from cmd/node down: both halves of every router, QUIC and TLS, sealed
// packets, Raft, Pebble, replication, the object endpoint, the admin API. What is not, each through the
// argument that the constructors have for it:
//
//	network   fabrictest: a wide-area network with the round-trip times of the lab's table, cuts, loss
//	disk      vfs.NewCrashableMem: a crash loses what was not synced
//	kernel    kerneltest: routes, rules and filters in memory
//	TUN       tuntest: a world injects packets as a host would, and takes them out
//	sockets   net.Pipe behind a door (door.go), for the admin API, S3 and the link between the halves
//	host      what a kernel does between TUN, control's socket and the hosts behind the router (host.go)
//	time      testing/synctest
//
// Only the few identity files (keys, certificates) are on the real disk, below t.TempDir.
//
// A world is built inside a bubble:
//
//	world.Run(t, func(w *world.World) {
//		w.Found("cn-hangzhou-a")
//		w.Join("mx-queretaro-a")
//		w.Step("the Pacific is cut", func() { w.Cut("cn-hangzhou-a", "mx-queretaro-a") })
//	})
//
// Every Step ends with Check (check.go). A seed decides what the network loses, how much of the unsynced
// bytes a crash takes, what the objects hold and what chaos breaks; a failing test prints it, and -world.seed
// sets it (0: a new one each time, for a search). It replays the faults and not the goroutines: time is
// fake here, the scheduler is not.
//
// The bubble ends only when every goroutine that was started in it has ended, so every test here is also
// a test that an ordered shutdown leaves nothing behind.
package world
