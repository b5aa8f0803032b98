package route

import "github.com/galleon-net/galleon/fabric/topo"

// Cost gives the cost of sending over a link, in microseconds; it must be positive.
type Cost func(Link) uint64

// CostFor returns the cost function of a traffic class.
func CostFor(c topo.Class) Cost { return func(l Link) uint64 { return 1 } }
