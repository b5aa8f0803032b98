package lab

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rttTable has a row for each ordered pair of places: from, to, round-trip time in milliseconds, and where the
// figure is from: measured between cloud regions, or estimated from distance.
//
//go:embed testdata/rtt_ms.csv
var rttTable []byte

// RTT is a round-trip time and where the figure is from.
type RTT struct {
	time.Duration
	Source string
}

// Round-trip times that the table has no rows for.
const (
	sameZone   = 200 * time.Microsecond  // two routers in one data centre
	sameRegion = 1200 * time.Microsecond // two data centres of one city, as the table has it for Bangkok
)

// secondPlaces are the second zones that have rows of their own.
var secondPlaces = map[string]string{"ap-bangkok-b": "bangkok2"}

var loadRTT = sync.OnceValue(func() map[[2]string]RTT {
	rows, err := csv.NewReader(bytes.NewReader(rttTable)).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("lab: embedded table of round-trip times: %v", err))
	}
	table := make(map[[2]string]RTT, len(rows))
	for _, r := range rows[1:] {
		ms, err := strconv.ParseFloat(r[2], 64)
		if err != nil {
			panic(fmt.Sprintf("lab: embedded table of round-trip times: %v", err))
		}
		table[[2]string{r[0], r[1]}] = RTT{time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond), r[3]}
	}
	return table
})

// PlaceOf finds the table's name for a region like cn-hangzhou or a zone like ap-bangkok-b: the part after the
// first hyphen, without the zone. ok is false when the table does not have it.
func PlaceOf(where string) (place string, ok bool) {
	if place, ok = secondPlaces[where]; ok {
		return place, true
	}
	_, place, _ = strings.Cut(where, "-")
	place, _, _ = strings.Cut(place, "-")
	_, seoul := loadRTT()[[2]string{place, "seoul"}]
	return place, seoul || place == "seoul"
}

// LookupRTT gives the round-trip time that was measured from one region or zone to another. The way back has a row of its
// own, which may differ by a few per cent: a lab's links have half of their own row, so a round trip takes the mean of the
// two. ok is false when the table lacks one.
func LookupRTT(from, to string) (rtt RTT, ok bool) {
	a, okA := PlaceOf(from)
	b, okB := PlaceOf(to)
	switch {
	case !okA || !okB:
		return RTT{}, false
	case a != b:
		rtt, ok = loadRTT()[[2]string{a, b}]
		return rtt, ok
	case from == to:
		return RTT{sameZone, "assumed for one zone"}, true
	}
	return RTT{sameRegion, "assumed for two zones of a region"}, true
}
