package main

import (
	"encoding/json"
	"math"
)

// Further figures that come with one, by a suffix of its name.
const (
	cpuSuffix       = "_cpu"       // seconds of processor per gigabit
	saturatedSuffix = "_saturated" // packets per second that arrive when more is offered
)

// results are the samples of all systems and figures.
type results struct {
	samples map[string]map[string]samples
	missing map[string]string // systems that could not be had, and why
}

func newResults() results {
	return results{map[string]map[string]samples{}, map[string]string{}}
}

func (r results) put(system, figure string, value float64) {
	if r.samples[system] == nil {
		r.samples[system] = map[string]samples{}
	}
	r.samples[system][figure] = append(r.samples[system][figure], value)
}

func (r results) of(system, figure string) samples { return r.samples[system][figure] }

// drop takes a system out: half of its rounds would be no comparison.
func (r results) drop(system, why string) {
	delete(r.samples, system)
	r.missing[system] = why
}

// number is one that may be missing: then it is null.
type number float64

// MarshalJSON rounds to what the figures are worth.
func (n number) MarshalJSON() ([]byte, error) {
	x := float64(n)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	scale := 1000.0
	if math.Abs(x) >= 100 {
		scale = 1
	}
	return json.Marshal(math.Round(x*scale) / scale)
}

// summary is the last line of output.
type summary struct {
	Bench           string `json:"bench"`
	Raw             number `json:"raw_mbps"`
	Galleon         number `json:"galleon_mbps"`
	WireGuard       number `json:"wireguard_go_mbps"`
	Nebula          number `json:"nebula_mbps"`
	RatioWireGuard  number `json:"ratio_wireguard_go"`
	Ratio4Flows     number `json:"ratio_4_flows"`
	RatioUDP1200    number `json:"ratio_udp_1200"`
	RatioUDP64      number `json:"ratio_udp_64"`
	RatioRelay      number `json:"ratio_relay"`
	RatioRTTIdle    number `json:"ratio_rtt_p99_idle"`
	RatioRTTLoaded  number `json:"ratio_rtt_p99_loaded"`
	RatioCPUPerGbit number `json:"cpu_per_gbit_ratio"`
	GalleonRSSMebi  number `json:"galleon_rss_mib"`
}

// summary relates Galleon to wireguard-go.
func (r results) summary() summary {
	over := func(figure string) number { return number(ratio(r.of(sysGalleon, figure), r.of(sysWireGuard, figure))) }
	mid := func(system, figure string) number { return number(r.of(system, figure).median()) }
	return summary{
		Bench: "tunnel", Raw: mid(sysRaw, figTCP1), Galleon: mid(sysGalleon, figTCP1), WireGuard: mid(sysWireGuard, figTCP1), Nebula: mid(sysNebula, figTCP1),
		RatioWireGuard: over(figTCP1), Ratio4Flows: over(figTCP4), RatioUDP1200: over(figUDP1200), RatioUDP64: over(figUDP64),
		RatioRelay:   number(ratio(r.of(sysGalleon, "relay"), r.of(sysGalleon, "relay_direct"))),
		RatioRTTIdle: over("rtt_idle_p99"), RatioRTTLoaded: over("rtt_loaded_p99"), RatioCPUPerGbit: over(figTCP1 + cpuSuffix),
		GalleonRSSMebi: mid(sysGalleon, "rss_pss"),
	}
}
