package topo

import "fmt"

// Avoid numbers a set of regions that packets must not pass through ("never transit"). The cluster agrees on
// what each number stands for; 0 stands for no such rule.
type Avoid uint8

// MaxAvoid is the greatest number of a set: three bits of a packet's header have room for it.
const MaxAvoid Avoid = 7

// Plane is what decides, besides the destination, which way a packet takes: its class, and what it must not
// pass through. Every router has a next hop for every destination in each plane, and a packet stays in its
// plane from end to end; that is what keeps its way free of loops.
type Plane struct {
	Class Class
	Avoid Avoid
}

// Planes is how many planes there can be.
const Planes = int(ClassBulk+1) * int(MaxAvoid+1)

// Index numbers the plane from 0 to Planes-1, the planes without rule first.
func (p Plane) Index() int {
	if p.Class > ClassBulk || p.Avoid > MaxAvoid {
		panic(fmt.Sprintf("topo: class %d, avoid %d", p.Class, p.Avoid))
	}
	return int(p.Avoid)*int(ClassBulk+1) + int(p.Class)
}

func (p Plane) String() string {
	if p.Avoid == 0 {
		return p.Class.String()
	}
	return fmt.Sprintf("%s avoiding set %d", p.Class, p.Avoid)
}
