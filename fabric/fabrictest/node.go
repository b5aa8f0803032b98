package fabrictest

import (
	"container/heap"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// maxInFlight bounds the packets on their way to one node. What comes on top is lost, as in a router's queue.
const maxInFlight = 1 << 14

// node delivers to one receiver, in the order of arrival times, and among equal times in the order sent.
type node struct {
	to   simnet.PacketReceiver
	wake chan struct{}
	done chan struct{}
	once sync.Once

	mu    sync.Mutex
	queue flights
	sent  uint64
}

func newNode(r simnet.PacketReceiver) *node {
	return &node{to: r, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (n *node) close() { n.once.Do(func() { close(n.done) }) }

func (n *node) enqueue(p simnet.Packet, at time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) >= maxInFlight {
		return false
	}
	n.sent++
	heap.Push(&n.queue, flight{p, at, n.sent})
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return true
}

// next takes the packet that is due, or says how long until the first is; 0 when there is none.
func (n *node) next() (p simnet.Packet, due bool, wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return p, false, 0
	}
	if wait = time.Until(n.queue[0].at); wait > 0 {
		return p, false, wait
	}
	return heap.Pop(&n.queue).(flight).p, true, 0
}

func (n *node) run() {
	for {
		p, due, wait := n.next()
		if due {
			// A simnet connection blocks here while its buffer is full, and lets go when it is closed.
			n.to.RecvPacket(p)
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-n.done:
			return
		case <-n.wake:
		case <-timer:
		}
	}
}

type flight struct {
	p   simnet.Packet
	at  time.Time
	seq uint64
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	if !f[i].at.Equal(f[j].at) {
		return f[i].at.Before(f[j].at)
	}
	return f[i].seq < f[j].seq
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	old[len(old)-1] = flight{}
	*f = old[:len(old)-1]
	return x
}
