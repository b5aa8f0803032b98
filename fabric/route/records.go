package route

import (
	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

// FromRecords makes the input of Compute from a link-state database's records.
func FromRecords(self topo.RouterID, records []linkstate.Record) Input { return Input{Self: self} }
