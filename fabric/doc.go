// Package fabric is the mesh: the loop that makes one network of routers in many places. It holds a session
// with every other router, seals and relays packets, measures links, tells the others what it measured, and
// computes where packets go.
//
//	m := fabric.New(fabric.Env{Socket: socket, Device: device, Emit: emit, Routes: routes})
//	err := m.Set(config, credential) // at any time, any number of times
//	err = m.Run(ctx)                 // until ctx ends, or the device or the socket is gone
//
// DESIGN.md, beside this file, has the house as a whole. The files are chapters, in the order in which a
// newcomer may read them:
//
//	config.go    what a mesh is given, and what it refuses
//	mesh.go      the parts and who owns what; run.go is the loop
//	pairing.go   who dials whom and when, which session stays, how keys are numbered: a pure state machine
//	session.go   the handshake of a pair session; control.go its frames; peers.go what the loop does with both
//	view.go      what a packet sees of all this
//	forward.go   the data path: ingress.go out of the TUN, receive.go in from the underlay, icmp.go for what
//	             is too big, carry.go for sessions through relays
//	link.go      one direct path, by its probes; links.go for all of them
//	flood.go     this router's word and everybody else's
//	routes.go    from words to the forwarding table
//	status.go    what is so; explain.go why; event.go what happened
//
// # What a failure costs
//
// A direct path is cut. Within three probe intervals, 150 ms, the probes are missed, and in the same moment
// the peer's face is marked unusable. The next packet finds next hop unusable, backup usable, and goes there
// sealed as it would have been before, since keys belong to the pair, with a link tag for the relay. Nobody
// was asked, nothing was dialed. 20 ms later the routes are computed anew; the word spreads; and after a
// second, should the pair need new keys, a session is dialed through the relays.
//
// # Who is believed
//
// The catalog (Config.Routers) says who exists, with which key, and what it may announce and send from.
// Everything is held against it, every time: certificates at handshakes, signatures of link-state,
// announcements when routes are computed, inner sources of packets when they are opened. A relay believes
// the link tag of its neighbour and opens nothing.
package fabric
