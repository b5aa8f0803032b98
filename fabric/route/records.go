package route

import (
	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

// FromRecords makes the input of Compute from a link-state database's records. FabricMTU and Cost are the
// caller's to set.
func FromRecords(self topo.RouterID, records []linkstate.Record) Input {
	in := Input{Self: self, Draining: map[topo.RouterID]bool{}}
	for _, r := range records {
		if r.Draining {
			in.Draining[r.Origin] = true
		}
		in.Links = appendLinks(in.Links, &r)
		for _, p := range r.Prefixes {
			in.Announcements = append(in.Announcements, Announcement{r.Origin, p.SegPrefix, p.Metric})
		}
	}
	return in
}
