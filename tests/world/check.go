package world

import (
	"github.com/galleon-net/galleon/netcfg/plan"
)

// Check holds the world to what was promised, whatever is broken at the moment:
//
//   - no datagram between sites carries in clear what a host or a client sent;
//   - no half wanted its process to end;
//   - routers at the same index of the catalog have the same state, now and ever since the world began;
//   - a term has one leader at most, and no router's index or term ever goes down, not even by a crash;
//   - what a kernel has of Galleon's is what it may have: unicast routes lead into the TUN device, none
//     into a router's own prefix, and where one leads there is a guard behind it;
//   - every object whose write was acknowledged is at the router that acknowledged it, whole.
func (w *World) Check() {
	w.T.Helper()
	for _, f := range w.seen.take() {
		w.T.Error(f)
	}
	for _, s := range w.Members() {
		w.checkAgreement(s)
	}
	for _, s := range w.sites {
		if s.ID != 0 {
			w.checkKernel(s)
		}
	}
	w.checkLedger()
	if w.T.Failed() {
		w.T.FailNow()
	}
}

func (w *World) checkAgreement(s *Site) {
	w.T.Helper()
	st, err := s.Status()
	if err != nil {
		w.T.Errorf("status of %s: %v", s.Zone, err)
		return
	}
	if first, known := w.seen.hashes[st.Applied]; !known {
		w.seen.hashes[st.Applied] = said{st.StateHash, st.Router}
	} else if first.hash != st.StateHash {
		w.T.Errorf("at index %d %s has state %.12s, %s had %.12s", st.Applied, st.Router, st.StateHash, first.by, first.hash)
	}
	last := w.seen.heights[st.Router]
	if st.Applied < last.index || st.Role != "watcher" && st.Term < last.term {
		w.T.Errorf("%s went back from index %d, term %d to index %d, term %d", st.Name, last.index, last.term, st.Applied, st.Term)
	}
	w.seen.heights[st.Router] = height{max(last.index, st.Applied), max(last.term, st.Term)}
	if st.Role == "leader" {
		if other, known := w.seen.leaders[st.Term]; known && other != st.Router {
			w.T.Errorf("term %d has two leaders, %s and %s", st.Term, other, st.Router)
		}
		w.seen.leaders[st.Term] = st.Router
	}
}

func (w *World) checkKernel(s *Site) {
	w.T.Helper()
	routes := s.Kernel.Snapshot().Routes
	guarded := map[string]bool{}
	for _, r := range routes {
		if r.Kind == plan.Unreachable {
			guarded[r.Prefix.String()] = true
		}
	}
	for _, r := range routes {
		if r.Protocol != s.conf.Fabric.Protocol || r.Kind != plan.Unicast {
			continue
		}
		switch {
		case r.Prefix == s.Prefix.Prefix:
			w.T.Errorf("the kernel of %s leads its own prefix %s into the overlay", s.Zone, r.Prefix)
		case !guarded[r.Prefix.String()]:
			w.T.Errorf("the kernel of %s has a route to %s and no guard behind it", s.Zone, r.Prefix)
		}
	}
}

// Agree waits until every member has the same catalog, and checks it by its hash.
func (w *World) Agree() {
	w.T.Helper()
	w.Until(minute, "every member is at the same index of the catalog", func() bool {
		var first uint64
		for i, s := range w.Members() {
			st, err := s.Status()
			if err != nil {
				return false
			}
			if i == 0 {
				first = st.Applied
			} else if st.Applied != first {
				return false
			}
		}
		return true
	})
	w.Check()
}
