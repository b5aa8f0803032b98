package route

import (
	"fmt"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// mesh is n routers, every one linked to every other, 10 prefixes each.
func mesh(n int) Input {
	in := Input{Self: 1, FabricMTU: 1400}
	for a := 1; a <= n; a++ {
		for b := 1; b <= n; b++ {
			if a != b {
				rtt := time.Duration(5+(min(a, b)*7919+max(a, b)*104729)%300) * time.Millisecond
				in.Links = append(in.Links, Link{From: topo.RouterID(a), To: topo.RouterID(b), RTT: rtt, MTU: 1400, Up: true})
			}
		}
		for p := range 10 {
			in.Announcements = append(in.Announcements, Announcement{topo.RouterID(a), topo.SegPrefix{Segment: topo.SegmentID(p)}, 0})
		}
	}
	return in
}

// benchNetworks are what the curve is drawn over.
func benchNetworks() map[string]Input {
	return map[string]Input{
		"0010": continent(10, 100), "0032-mesh": mesh(32), "0100": continent(100, 1000), "0316": continent(316, 3160),
		"1000": continent(1000, 10_000),
	}
}

var benchOrder = []string{"0010", "0032-mesh", "0100", "0316", "1000"}

// BenchmarkCompute is everything from nothing, in one plane, with paths for people.
func BenchmarkCompute(b *testing.B) {
	nets := benchNetworks()
	for _, name := range benchOrder {
		in := nets[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compute(in)
			}
			b.Logf("%s", shape(in))
		})
	}
}

// BenchmarkUpdate is an engine with three classes and one set of regions to avoid, six planes:
//
//	whole  a router came: everything anew
//	link   one link's round trip changed, somewhere
//	own    a link of ours went down or came up
//	drain  a router with many links began or ended draining
//	quiet  every router sent the record that it sends every ten seconds, with the same words
func BenchmarkUpdate(b *testing.B) {
	nets := benchNetworks()
	for _, kind := range []string{"whole", "link", "own", "drain", "quiet"} {
		for _, name := range benchOrder {
			in := nets[name]
			b.Run(kind+"/"+name, func(b *testing.B) { benchUpdate(b, kind, in) })
		}
	}
}

func benchUpdate(b *testing.B, kind string, in Input) {
	w := &world{in: in, seq: map[topo.RouterID]uint64{}}
	sites := map[topo.RouterID]Site{}
	for _, l := range in.Links {
		sites[l.From] = Site{Region: topo.Region(fmt.Sprintf("area%d-%d", l.From/8%5, l.From/8))}
	}
	rules := []Rule{{Name: "home", Between: [2]topo.Region{"area1", "area2"}, Never: []topo.Region{"area3"}}}
	intents := [2]*Intent{}
	for i := range intents {
		intents[i], _ = NewIntent(sites, nil, rules)
	}
	base := w.records()
	e := NewEngine(in.Self, topo.ClassInteractive, topo.ClassControl, topo.ClassBulk)
	facts := Facts{Now: time.Unix(1, 0), Records: base, FabricMTU: in.FabricMTU, Intent: intents[0]}
	e.Update(facts)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		b.StopTimer()
		i++
		facts.Now = facts.Now.Add(time.Second)
		switch kind {
		case "whole":
			facts.Intent = intents[i%2]
		case "quiet":
			for k := range base {
				base[k].Seq++
			}
		default:
			r := &base[(i/2*37+5)%len(base)]
			if kind == "own" {
				r = &base[0]
			}
			ls := append(r.Links[:0:0], r.Links...)
			r.Seq++
			switch l := &ls[i/2%len(ls)]; kind {
			case "link":
				l.RTT += time.Duration(1-i%2*2) * 4 * time.Millisecond
				l.RTT = max(l.RTT, time.Millisecond)
			case "own":
				l.Up = !l.Up
			case "drain":
				r.Draining = !r.Draining
			}
			r.Links = ls
		}
		b.StartTimer()
		e.Update(facts)
	}
}
