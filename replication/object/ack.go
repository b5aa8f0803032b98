package object

import (
	"fmt"
	"strconv"
	"strings"
)

// Ack says when a write may be acknowledged: AckLocal when it is synced here, AckZone when a second
// router of the region has it too, AckRegions(n) when n further regions have it.
type Ack struct {
	// Zone asks for a second router of the writer's own region.
	Zone bool
	// Regions is the number of other regions that must hold the write.
	Regions int
}

// AckLocal is the default: synced to the disk of the router that took the write.
var AckLocal = Ack{}

// maxAckRegions bounds n in regions:n; more regions than this do not exist in any cloud.
const maxAckRegions = 64

// ParseAck reads local, zone or regions:n. The empty string is local.
func ParseAck(s string) (Ack, error) {
	switch {
	case s == "" || s == "local":
		return AckLocal, nil
	case s == "zone":
		return Ack{Zone: true}, nil
	}
	if n, ok := strings.CutPrefix(s, "regions:"); ok {
		if v, err := strconv.Atoi(n); err == nil && v >= 1 && v <= maxAckRegions {
			return Ack{Regions: v}, nil
		}
	}
	return Ack{}, fmt.Errorf("ack %q: want local, zone or regions:n with n from 1 to %d", s, maxAckRegions)
}

func (a Ack) String() string {
	switch {
	case a.Regions > 0:
		return "regions:" + strconv.Itoa(a.Regions)
	case a.Zone:
		return "zone"
	}
	return "local"
}

// MarshalText gives the form that people write.
func (a Ack) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (a *Ack) UnmarshalText(b []byte) error {
	v, err := ParseAck(string(b))
	if err == nil {
		*a = v
	}
	return err
}
