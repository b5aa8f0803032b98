package wan

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Network carries packets between the sites that are attached to it, while Run runs. All other methods may
// be called from any goroutine, before, during and after.
type Network struct {
	seed  uint64
	start time.Time
	wake  int // eventfd: interrupts the thread's sleep

	mu      sync.Mutex
	running bool
	calls   []func() // for Run's thread to make

	// All below belongs to Run's thread while it runs, and to who holds mu while it does not: see do. So the thread never
	// waits for somebody who holds a lock and was put to sleep.

	closed  bool
	sites   map[string]*site
	exact   map[netip.Addr]*site
	wide    []route // prefixes of more than one address, longest first
	changed bool    // sites, so that the thread must poll others
	flight  flight
	buffers buffers
	runs    []Run // scratch
	stats   tally
}

// site is one attached device.
type site struct {
	name     string
	dev      *Device
	fd       int
	prefixes []netip.Prefix
	out      map[*site]*path
	count    SiteCounters
	scratch  []byte // where the next frame is read to, of the largest class
}

// path is the link from one site to another.
type path struct {
	from, to *site
	link     *Link
}

type route struct {
	netip.Prefix
	to *site
}

// maxFlight bounds the memory for frames in flight: 16 sites that each send 1 Gbit/s over 100 ms need 200 MB.
// What exceeds it is dropped and counted as overflow, which no link was set to: the figures are then worthless.
const maxFlight = 512 << 20

// New makes a network without sites. The seed decides every link's throws: the links of two networks with the
// same seed and site names lose the same packets.
func New(seed uint64) (*Network, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make the network's wake-up: %w", err)
	}
	return &Network{seed: seed, start: time.Now(), wake: wake, sites: map[string]*site{}, exact: map[netip.Addr]*site{}}, nil
}

func (n *Network) now() Instant { return time.Since(n.start) }

// do has f done by Run's thread, between two packets, or here when it does not run.
func (n *Network) do(f func()) {
	n.mu.Lock()
	if !n.running {
		defer n.mu.Unlock()
		f()
		return
	}
	done := make(chan struct{})
	n.calls = append(n.calls, func() {
		defer close(done)
		f()
	})
	n.mu.Unlock()
	n.kick()
	<-done
}

// call makes the calls that wait.
func (n *Network) call() {
	n.mu.Lock()
	calls := n.calls
	n.calls = nil
	n.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

// Attach joins a device to the network under a site's name and takes it over. Packets for the prefixes go to
// this site, and only packets from them leave it. Links to and from all other sites start as perfect wires.
func (n *Network) Attach(name string, dev *Device, prefixes ...netip.Prefix) (err error) {
	n.do(func() { err = n.attach(name, dev, prefixes) })
	return err
}

func (n *Network) attach(name string, dev *Device, prefixes []netip.Prefix) error {
	if n.closed {
		return fmt.Errorf("attach site %s: %w", name, os.ErrClosed)
	}
	if _, ok := n.sites[name]; ok {
		return fmt.Errorf("attach site %s: there is one of that name", name)
	}
	for _, o := range n.sites {
		if o.dev.offload != dev.offload {
			return fmt.Errorf("attach site %s: its device has offloads %v, that of site %s %v: frames pass unchanged, so all must have the same", name, dev.offload, o.name, o.dev.offload)
		}
		for _, p := range prefixes {
			if i := slices.IndexFunc(o.prefixes, func(q netip.Prefix) bool { return p == q }); i >= 0 {
				return fmt.Errorf("attach site %s: %v belongs to site %s", name, p, o.name)
			}
		}
	}
	s := &site{name: name, dev: dev, fd: int(dev.file.Fd()), prefixes: prefixes, out: map[*site]*path{}, scratch: n.buffers.get(maxFrame)}
	if err := unix.SetNonblock(s.fd, true); err != nil { // Fd made it blocking
		return fmt.Errorf("attach site %s: %w", name, err)
	}
	for _, o := range n.sites {
		n.join(s, o)
		n.join(o, s)
	}
	n.sites[name] = s
	for _, p := range prefixes {
		if p.IsSingleIP() {
			n.exact[p.Addr()] = s
		} else {
			n.wide = append(n.wide, route{p.Masked(), s})
		}
	}
	slices.SortFunc(n.wide, func(a, b route) int { return b.Bits() - a.Bits() })
	n.changed = true
	return nil
}

func (n *Network) join(a, b *site) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s>%s", n.seed, a.name, b.name)
	a.out[b] = &path{from: a, to: b, link: NewLink(h.Sum64(), Params{})}
}

// Detach takes a site off the network and closes its device; what is on its way to it is lost.
func (n *Network) Detach(name string) (err error) {
	n.do(func() { err = n.detach(name) })
	return err
}

func (n *Network) detach(name string) error {
	s, ok := n.sites[name]
	if !ok {
		return n.noSite(name)
	}
	delete(n.sites, name)
	for a, o := range n.exact {
		if o == s {
			delete(n.exact, a)
		}
	}
	n.wide = slices.DeleteFunc(n.wide, func(r route) bool { return r.to == s })
	for _, o := range n.sites {
		delete(o.out, s)
	}
	s.fd = -1
	n.changed = true
	return s.dev.Close()
}

// Close detaches every site. Call it after Run has returned.
func (n *Network) Close() (err error) {
	n.do(func() {
		if n.closed {
			return
		}
		for name := range n.sites {
			err = errors.Join(err, n.detach(name))
		}
		n.closed = true
		err = errors.Join(err, unix.Close(n.wake))
	})
	return err
}

// Sites gives the names of the attached sites in order.
func (n *Network) Sites() (names []string) {
	n.do(func() { names = slices.Sorted(maps.Keys(n.sites)) })
	return names
}

// Set changes the link from one site to another by text as Params.Apply reads it, and gives what it is now.
func (n *Network) Set(from, to, change string) (next Params, err error) {
	n.do(func() {
		var p *path
		if p, err = n.path(from, to); err != nil {
			return
		}
		if next, err = p.link.Params().Apply(change); err != nil {
			err = fmt.Errorf("set link %s to %s: %w", from, to, err)
			return
		}
		p.link.Set(next)
	})
	return next, err
}

// ResetLateness forgets the lateness so far, so that a measurement can judge its own time.
func (n *Network) ResetLateness() {
	n.do(func() { n.stats.late = histogram{} })
}

func (n *Network) path(from, to string) (*path, error) {
	a, ok := n.sites[from]
	if !ok {
		return nil, n.noSite(from)
	}
	b, ok := n.sites[to]
	if !ok {
		return nil, n.noSite(to)
	}
	if a == b {
		return nil, fmt.Errorf("site %s has no link to itself", from)
	}
	return a.out[b], nil
}

func (n *Network) noSite(name string) error {
	return fmt.Errorf("no site %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(n.sites)), ", "))
}

// kick ends the thread's sleep.
func (n *Network) kick() {
	one := [8]byte{7: 1}
	unix.Write(n.wake, one[:]) // EAGAIN: it is awake already
}
