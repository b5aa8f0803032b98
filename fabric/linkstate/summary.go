package linkstate

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

const summaryItem = 4 + 8 + 8

// Summary lists the versions held, ascending by origin. Each end of a new session sends its own, and
// answers the other's with Missing; after that, what is news to one is passed on to the other as it comes.
func (d *DB) Summary() []Version {
	var all []Version
	for _, origin := range d.origins() {
		all = append(all, d.entries[origin].version)
	}
	return all
}

// Missing returns, for a peer that holds theirs, the records that it lacks or holds in an older
// version, ascending by origin, with their ages at now.
func (d *DB) Missing(now time.Time, theirs []Version) []Signed {
	holds := make(map[topo.RouterID]Version, len(theirs))
	for _, v := range theirs {
		holds[v.Origin] = v
	}
	var send []Signed
	for _, origin := range d.origins() {
		if v, ok := holds[origin]; ok && !d.entries[origin].version.Newer(v) {
			continue
		}
		s, _ := d.Signed(now, origin)
		send = append(send, s)
	}
	return send
}

// AppendSummary appends the bytes of a summary to b: a count of 2 bytes, then 20 bytes for each.
func AppendSummary(b []byte, vs []Version) []byte {
	if len(vs) > MaxOrigins {
		panic(fmt.Sprintf("linkstate: summary of %d origins", len(vs)))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(vs)))
	for _, v := range vs {
		b = binary.BigEndian.AppendUint32(b, uint32(v.Origin))
		b = binary.BigEndian.AppendUint64(b, v.Incarnation)
		b = binary.BigEndian.AppendUint64(b, v.Seq)
	}
	return b
}

// ParseSummary reads what AppendSummary gives for a summary in order, and refuses everything else.
func ParseSummary(b []byte) ([]Version, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%w: summary of %d bytes", ErrFormat, len(b))
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if n > MaxOrigins || len(b) != n*summaryItem {
		return nil, fmt.Errorf("%w: summary of %d origins in %d bytes", ErrFormat, n, len(b))
	}
	vs := make([]Version, 0, n)
	for range n {
		v := Version{
			Origin:      topo.RouterID(binary.BigEndian.Uint32(b)),
			Incarnation: binary.BigEndian.Uint64(b[4:]),
			Seq:         binary.BigEndian.Uint64(b[12:]),
		}
		if v.Origin == 0 || len(vs) > 0 && vs[len(vs)-1].Origin >= v.Origin {
			return nil, fmt.Errorf("%w: summary out of order at %s", ErrFormat, v.Origin)
		}
		vs, b = append(vs, v), b[summaryItem:]
	}
	return vs, nil
}

// What makes a change worth a record of its own; anything less waits for the refresh, or all routers
// would flood and compute at every breath of the network.
const (
	significantRTT  = 2 * time.Millisecond
	significantPart = 10 // a tenth of the round trip
	significantLoss = 5_000
)

// Significant says whether b differs from a by so much that a new record is due before the next refresh:
// another state or MTU, a round trip off by a tenth and 2 ms, a loss off by half and 0.5 %, a rate off
// by half.
func Significant(a, b Link) bool {
	if a.To != b.To || a.Up != b.Up || a.MTU != b.MTU {
		return true
	}
	rtt := max(a.RTT-b.RTT, b.RTT-a.RTT)
	if rtt >= significantRTT && rtt*significantPart >= max(a.RTT, b.RTT) {
		return true
	}
	less, more := min(a.LossPPM, b.LossPPM), max(a.LossPPM, b.LossPPM)
	if more-less >= significantLoss && more/2 >= less {
		return true
	}
	slow, fast := min(a.RateMbps, b.RateMbps), max(a.RateMbps, b.RateMbps)
	return fast/2 >= slow && fast > slow
}
