package topo

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestRouterIDText(t *testing.T) {
	for _, id := range []RouterID{0, 1, 7, 1<<32 - 1} {
		in := struct {
			ID RouterID
			By map[RouterID]int
		}{id, map[RouterID]int{id: 1}}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out := in
		out.ID, out.By = 99, nil
		if err := json.Unmarshal(b, &out); err != nil || out.ID != id || out.By[id] != 1 {
			t.Errorf("%s: %v, %+v", b, err, out)
		}
	}
	for _, bad := range []string{"r0", "7", "r", "r-1", "r4294967296", "router"} {
		if id, err := ParseRouterID(bad); err == nil {
			t.Errorf("%q was taken for %s", bad, id)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		region Region
		zone   Zone
		ok     bool
	}{
		{"mx-queretaro", "mx-queretaro-a", true}, {"mx-queretaro", "mx-queretaro", false}, {"mx-queretaro", "mx-queretaro-", false},
		{"mx-queretaro", "mx-monterrey-a", false}, {"mx-queretaro", "mx-queretaro-A", false}, {"mx", "mx-a.b", false},
	} {
		if err := CheckZone(c.region, c.zone); (err == nil) != c.ok {
			t.Errorf("zone %s of %s: %v", c.zone, c.region, err)
		}
	}
	for _, bad := range []Region{"", "-a", "a-", "1a", "a_b", "Ä", "a-name-that-goes-on-for-much-longer-than-names-do"} {
		if CheckRegion(bad) == nil {
			t.Errorf("region %q was accepted", bad)
		}
	}
}

func TestSegPrefix(t *testing.T) {
	p := func(seg SegmentID, s string) SegPrefix { return SegPrefix{seg, netip.MustParsePrefix(s)} }
	if !p(0, "10.0.0.0/8").Contains(p(0, "10.1.0.0/16")) || p(0, "10.1.0.0/16").Contains(p(0, "10.0.0.0/8")) || p(1, "10.0.0.0/8").Contains(p(0, "10.1.0.0/16")) {
		t.Error("Contains")
	}
	if !p(0, "10.1.0.0/16").Overlaps(p(0, "10.0.0.0/8")) || p(1, "10.0.0.0/8").Overlaps(p(0, "10.0.0.0/8")) || p(0, "10.0.0.0/8").Overlaps(p(0, "fd00::/8")) {
		t.Error("Overlaps")
	}
	if got := p(3, "10.0.0.0/8").String(); got != "3:10.0.0.0/8" {
		t.Error(got)
	}
	if PairOf(9, 2) != (Pair{2, 9}) {
		t.Error("PairOf")
	}
}
