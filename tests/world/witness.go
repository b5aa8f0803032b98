package world

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"

	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/topo"
)

type path = fabrictest.Path

// marker opens the payload of every packet and object of a world, so that it is known when seen in clear.
const marker = "GALLEON-WORLD-MARKER"

// maxFaults bounds what a witness keeps of what it saw.
const maxFaults = 20

// witness sees what no router can see alone.
type witness struct {
	mu     sync.Mutex
	faults []string
	ports  uint16
	// hashes are of the catalog, by index: one for all routers.
	hashes map[uint64]said
	// leaders are the routers that called themselves leader, by term: at most one.
	leaders map[uint64]topo.RouterID
	// heights are each router's last index and term: they only grow.
	heights map[topo.RouterID]height
}

type said struct {
	hash string
	by   topo.RouterID
}

type height struct{ index, term uint64 }

func newWitness() witness {
	return witness{hashes: map[uint64]said{}, leaders: map[uint64]topo.RouterID{}, heights: map[topo.RouterID]height{}}
}

func (w *witness) fault(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, fmt.Sprintf(format, a...))
	}
}

// fatal is called by a half that wants its process to end.
func (w *witness) fatal(err error) { w.fault("fatal: %v", err) }

// packet looks at every datagram between sites: none carries what a host or client sent in clear.
func (w *witness) packet(from, to netip.AddrPort, data []byte) {
	if bytes.Contains(data, []byte(marker)) {
		w.fault("a datagram from %s to %s carries in clear what a host or a client sent", from, to)
	}
}

// take gives what was seen since the last call.
func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.faults
	w.faults = nil
	return out
}
