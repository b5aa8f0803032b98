// Package fabrictest is a wide-area network for tests, in memory and in the time of the test (it is made
// for testing/synctest). It is a router for quic-go's simnet, which gives every node the same latency
// and has no cuts: here each direction between two nodes has its own latency, loss, MTU and cut, all of
// them changed while packets fly.
//
//	net := fabrictest.New(1)            // the seed of the losses
//	defer net.Close()
//	a := net.Listen(addrA)              // a net.PacketConn
//	b := net.Listen(addrB)
//	net.Both(addrA.Addr(), addrB.Addr(), func(p *fabrictest.Path) { p.Latency = 40 * time.Millisecond })
//	net.Cut(addrA.Addr(), addrB.Addr()) // nothing passes, in either direction
//
// Paths belong to addresses without ports, so that the two processes of one router (forward and control)
// share the fate of their cable. What only one source port suffers (a policer, a broken member of a trunk)
// is set with SetFrom, and comes on top.
package fabrictest

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// Path is one direction between two nodes. The zero value delivers at once and whole.
type Path struct {
	Latency time.Duration // one way
	LossPPM uint32        // of a million packets, lost at random
	MTU     int           // octets of UDP payload; longer ones vanish without a word; 0 is no limit
	Cut     bool          // nothing passes
}

// Counts is what happened to the packets of one direction.
type Counts struct{ Delivered, Lost, TooBig, Cut, Overflow uint64 }

type direction struct{ from, to netip.Addr }

type flow struct {
	from netip.AddrPort
	to   netip.Addr
}

// Net is the network. Its methods may be called from any goroutine.
type Net struct {
	mu     sync.Mutex
	rng    *rand.Rand
	paths  map[direction]Path
	counts map[direction]*Counts
	flows  map[flow]Path
	nodes  map[netip.AddrPort]*node
	tap    func(from, to netip.AddrPort, data []byte)
	closed bool
	wg     sync.WaitGroup
}

var _ simnet.Router = (*Net)(nil)

// New makes a network without nodes; seed decides which packets a lossy path loses.
func New(seed uint64) *Net {
	return &Net{
		rng:    rand.New(rand.NewPCG(seed, seed)),
		paths:  map[direction]Path{},
		counts: map[direction]*Counts{},
		flows:  map[flow]Path{},
		nodes:  map[netip.AddrPort]*node{},
	}
}

// Listen attaches a node at addr. Closing the connection detaches it; the address can be used again.
func (n *Net) Listen(addr netip.AddrPort) net.PacketConn {
	return &conn{SimConn: simnet.NewBlockingSimConn(net.UDPAddrFromAddrPort(addr), n), net: n, addr: addr}
}

// conn takes its node out of the network when it is closed.
type conn struct {
	*simnet.SimConn
	net  *Net
	addr netip.AddrPort
	once sync.Once
}

func (c *conn) Close() error {
	err := c.SimConn.Close()
	c.once.Do(func() { c.net.detach(c.addr) })
	return err
}

// AddNode is simnet's way to attach a receiver.
func (n *Net) AddNode(addr net.Addr, r simnet.PacketReceiver) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ap := addrPort(addr)
	if n.closed {
		return
	}
	if _, taken := n.nodes[ap]; taken {
		panic("fabrictest: two nodes at " + ap.String())
	}
	nd := newNode(r)
	n.nodes[ap] = nd
	n.wg.Go(nd.run)
}

func (n *Net) detach(ap netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if nd := n.nodes[ap]; nd != nil {
		nd.close()
		delete(n.nodes, ap)
	}
}

// SendPacket decides the fate of one packet. As on a real network the sender learns nothing of it.
func (n *Net) SendPacket(p simnet.Packet) error {
	from, to := addrPort(p.From), addrPort(p.To)
	d := direction{from.Addr(), to.Addr()}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return net.ErrClosed
	}
	if n.tap != nil {
		n.tap(from, to, p.Data)
	}
	path, own, c := n.paths[d], n.flows[flow{from, d.to}], n.count(d)
	nd := n.nodes[to]
	switch {
	case path.Cut || own.Cut || nd == nil:
		c.Cut++
	case path.swallows(p.Data) || own.swallows(p.Data):
		c.TooBig++
	case n.loses(path) || n.loses(own):
		c.Lost++
	case !nd.enqueue(p, time.Now().Add(path.Latency+own.Latency)):
		c.Overflow++
	default:
		c.Delivered++
	}
	return nil
}

func (p Path) swallows(data []byte) bool { return p.MTU > 0 && len(data) > p.MTU }

func (n *Net) loses(p Path) bool { return p.LossPPM > 0 && n.rng.Uint32N(1_000_000) < p.LossPPM }

func (n *Net) count(d direction) *Counts {
	c := n.counts[d]
	if c == nil {
		c = new(Counts)
		n.counts[d] = c
	}
	return c
}

// Set changes the direction from a to b.
func (n *Net) Set(a, b netip.Addr, change func(*Path)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.paths[direction{a, b}]
	change(&p)
	n.paths[direction{a, b}] = p
}

// SetFrom changes what the packets of one port of a meet on the way to b, besides what all of a's do.
func (n *Net) SetFrom(a netip.AddrPort, b netip.Addr, change func(*Path)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.flows[flow{a, b}]
	change(&p)
	n.flows[flow{a, b}] = p
}

// Both changes the two directions between a and b.
func (n *Net) Both(a, b netip.Addr, change func(*Path)) {
	n.Set(a, b, change)
	n.Set(b, a, change)
}

// Cut lets nothing pass between a and b; what is in flight still arrives.
func (n *Net) Cut(a, b netip.Addr) { n.Both(a, b, func(p *Path) { p.Cut = true }) }

// Heal undoes Cut.
func (n *Net) Heal(a, b netip.Addr) { n.Both(a, b, func(p *Path) { p.Cut = false }) }

// Counts returns what happened so far to the packets from a to b.
func (n *Net) Counts(a, b netip.Addr) Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *n.count(direction{a, b})
}

// Tap shows every packet, before its fate, to f, which must not keep data nor call the Net. One tap at a
// time; nil takes it off.
func (n *Net) Tap(f func(from, to netip.AddrPort, data []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Inject sends data as if from had, whoever that is.
func (n *Net) Inject(from, to netip.AddrPort, data []byte) error {
	return n.SendPacket(simnet.Packet{
		From: net.UDPAddrFromAddrPort(from), To: net.UDPAddrFromAddrPort(to), Data: append([]byte(nil), data...),
	})
}

// Close ends the network; it returns when its goroutines have. Connections are closed by who made them.
func (n *Net) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return errors.New("fabrictest: closed twice")
	}
	n.closed = true
	for _, nd := range n.nodes {
		nd.close()
	}
	n.mu.Unlock()
	n.wg.Wait()
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		panic("fabrictest: not an address: " + a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
