package linkstate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func example() Record {
	return Record{
		Origin: 7, Incarnation: 0x0102030405060708, Seq: 42, Issued: time.Unix(1795500000, 5).UTC(), Draining: true,
		Links: []Link{
			{To: 2, RTT: 97200 * time.Microsecond, LossPPM: 1200, RateMbps: 930, MTU: 1400, Up: true},
			{To: 9, RTT: 242 * time.Millisecond, LossPPM: 1_000_000},
		},
		Prefixes: []Announcement{
			{SegPrefix: topo.SegPrefix{Prefix: netip.MustParsePrefix("10.7.0.0/16")}, Metric: 100},
			{SegPrefix: topo.SegPrefix{Segment: 3, Prefix: netip.MustParsePrefix("fd00:7::/48")}},
		},
	}
}

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func signWith(k ed25519.PrivateKey) func([]byte) []byte {
	return func(m []byte) []byte { return ed25519.Sign(k, m) }
}

// TestGolden pins the format: routers of different versions must read each other.
func TestGolden(t *testing.T) {
	s, err := Sign(example(), signWith(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	s.Age = 1500 * time.Millisecond
	got := hex.EncodeToString(s.Append(nil))
	const path = "testdata/signed-record.hex"
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimSpace(string(want)) {
		t.Fatalf("signed record\n got %s\nwant %s", got, want)
	}
	b, _ := hex.DecodeString(got)
	back, rest, err := ParseSigned(b)
	if err != nil || len(rest) != 0 || back.Age != s.Age {
		t.Fatalf("parse: %v, %d bytes left, age %s", err, len(rest), back.Age)
	}
	r, err := back.Verify(testKey(1).Public().(ed25519.PublicKey))
	if err != nil || !reflect.DeepEqual(r, example()) {
		t.Fatalf("verify: %v\n got %+v\nwant %+v", err, r, example())
	}
	if _, err := back.Verify(testKey(2).Public().(ed25519.PublicKey)); !errors.Is(err, ErrSignature) {
		t.Fatalf("another key: %v", err)
	}
	for i := range back.Record {
		altered := back
		altered.Record = bytes.Clone(back.Record)
		altered.Record[i] ^= 1
		if _, err := altered.Verify(testKey(1).Public().(ed25519.PublicKey)); err == nil {
			t.Fatalf("altered byte %d passes", i)
		}
	}
}

// TestVersions pins version 2, and that it is spoken only when there is something to say in it.
func TestVersions(t *testing.T) {
	old := example()
	old.Prefixes = nil
	late := example()
	late.Prefixes = nil
	late.Links[0].RTT95, late.Links[1].Price = 120*time.Millisecond, 20_000
	was, err := old.Encode()
	if err != nil || was[0] != version1 {
		t.Fatalf("%x, %v", was, err)
	}
	is, err := late.Encode()
	if err != nil || is[0] != version2 {
		t.Fatalf("%x, %v", is, err)
	}
	more := []string{"0001d4c0" + "00000000", "00000000" + "00004e20"}
	want := slices.Clone(was[:headLen])
	want[0] = version2
	for i, m := range more {
		b, _ := hex.DecodeString(m)
		want = append(append(want, was[headLen+i*linkLen:headLen+(i+1)*linkLen]...), b...)
	}
	if !bytes.Equal(is, want) {
		t.Fatalf("version 2\n got %x\nwant %x", is, want)
	}
	idle := slices.Concat(want[:headLen+linkLen], make([]byte, moreLen), want[headLen+linkLen+moreLen:headLen+2*linkLen+moreLen], make([]byte, moreLen))
	if r, err := Decode(idle); !errors.Is(err, ErrFormat) {
		t.Errorf("version 2 that says nothing in it is read as %+v, %v", r, err)
	}
	want[0] = 3
	if _, err := Decode(want); !errors.Is(err, ErrFormat) {
		t.Errorf("version 3: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"slow late links": func(r *Record) { r.Links[0].RTT95 = MaxRTT + 1 },
		"no origin":       func(r *Record) { r.Origin = 0 },
		"link to itself":  func(r *Record) { r.Links[0].To = r.Origin },
		"link twice":      func(r *Record) { r.Links[1].To = r.Links[0].To },
		"slow link":       func(r *Record) { r.Links[0].RTT = MaxRTT + 1 },
		"negative RTT":    func(r *Record) { r.Links[0].RTT = -1 },
		"loss over one":   func(r *Record) { r.Links[0].LossPPM = 1_000_001 },
		"MTU":             func(r *Record) { r.Links[0].MTU = 70_000 },
		"host bits":       func(r *Record) { r.Prefixes[0].Prefix = netip.MustParsePrefix("10.7.0.1/16") },
		"no prefix":       func(r *Record) { r.Prefixes[0].Prefix = netip.Prefix{} },
		"mapped":          func(r *Record) { r.Prefixes[0].Prefix = netip.MustParsePrefix("::ffff:10.0.0.0/104") },
		"prefix twice":    func(r *Record) { r.Prefixes[1] = r.Prefixes[0] },
		"many links":      func(r *Record) { r.Links = make([]Link, MaxLinks+1) },
		"many prefixes":   func(r *Record) { r.Prefixes = make([]Announcement, MaxPrefixes+1) },
		"prefix, metrics": func(r *Record) { r.Prefixes = append(r.Prefixes, r.Prefixes[0]); r.Prefixes[2].Metric++ },
	} {
		r := example()
		change(&r)
		if b, err := r.Encode(); err == nil {
			t.Errorf("%s: encoded as %x", name, b)
		}
	}
}

// TestLargestFits proves that MaxRecord holds the largest record.
func TestLargestFits(t *testing.T) {
	r := Record{Origin: math.MaxUint32}
	for i := range MaxLinks {
		r.Links = append(r.Links, Link{To: topo.RouterID(i + 1), Price: 1})
	}
	for i := range MaxPrefixes {
		a := netip.AddrFrom16([16]byte{0xfd, 0, byte(i >> 8), byte(i)})
		r.Prefixes = append(r.Prefixes, Announcement{SegPrefix: topo.SegPrefix{Prefix: netip.PrefixFrom(a, 64)}})
	}
	b, err := r.Encode()
	if err != nil || len(b) > MaxRecord {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if _, err := Decode(b); err != nil {
		t.Fatal(err)
	}
}

func drawRecord(t *rapid.T) Record {
	r := Record{
		Origin: topo.RouterID(rapid.Uint32Range(1, math.MaxUint32).Draw(t, "origin")), Incarnation: rapid.Uint64().Draw(t, "inc"),
		Seq: rapid.Uint64().Draw(t, "seq"), Issued: time.Unix(0, rapid.Int64().Draw(t, "issued")).UTC(), Draining: rapid.Bool().Draw(t, "drain"),
	}
	tos := rapid.SliceOfNDistinct(rapid.Uint32Range(1, math.MaxUint32), 0, 8, rapid.ID).Draw(t, "tos")
	for _, to := range tos {
		if topo.RouterID(to) == r.Origin {
			continue
		}
		r.Links = append(r.Links, Link{
			To: topo.RouterID(to), RTT: time.Duration(rapid.Int64Range(0, MaxRTT.Microseconds()).Draw(t, "rtt")) * time.Microsecond,
			LossPPM: rapid.Uint32Range(0, 1e6).Draw(t, "loss"), RateMbps: rapid.Uint32().Draw(t, "rate"),
			MTU: rapid.IntRange(0, 65535).Draw(t, "mtu"), Up: rapid.Bool().Draw(t, "up"),
			RTT95: time.Duration(rapid.SampledFrom([]int64{0, 0, 1, MaxRTT.Microseconds()}).Draw(t, "p95")) * time.Microsecond,
			Price: rapid.SampledFrom([]uint32{0, 0, 0, 1, math.MaxUint32}).Draw(t, "price"),
		})
	}
	seen := map[topo.SegPrefix]bool{}
	for range rapid.IntRange(0, 8).Draw(t, "prefixes") {
		var p netip.Prefix
		if rapid.Bool().Draw(t, "v4") {
			p, _ = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "a4"))).Prefix(rapid.IntRange(0, 32).Draw(t, "bits"))
		} else {
			a := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a16")
			a[0] |= 0x20 // never the mapped range
			p, _ = netip.AddrFrom16([16]byte(a)).Prefix(rapid.IntRange(3, 128).Draw(t, "bits"))
		}
		sp := topo.SegPrefix{Segment: topo.SegmentID(rapid.Uint16().Draw(t, "segment")), Prefix: p}
		if !seen[sp] {
			seen[sp] = true
			r.Prefixes = append(r.Prefixes, Announcement{sp, rapid.Uint32().Draw(t, "metric")})
		}
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(r.Links, func(a, b Link) int { return int(int64(a.To) - int64(b.To)) })
		slices.SortFunc(r.Prefixes, compareAnnouncements)
		if !reflect.DeepEqual(back, r) {
			t.Fatalf("\n got %+v\nwant %+v", back, r)
		}
	})
}

// FuzzDecode: whatever decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	b, _ := example().Encode()
	f.Add(b)
	f.Add(b[:headLen])
	priced := example()
	priced.Links[0].Price, priced.Links[1].RTT95 = 20_000, time.Second
	b, _ = priced.Encode()
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes, and encodes to %x, %v", b, again, err)
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	s, _ := Sign(example(), signWith(testKey(1)))
	f.Add(s.Append(nil))
	f.Add(s.Append(s.Append(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := ParseSigned(b)
		if err != nil {
			return
		}
		if again := append(s.Append(nil), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x parses, and appends to %x", b, again)
		}
	})
}

func FuzzParseSummary(f *testing.F) {
	f.Add(AppendSummary(nil, []Version{{1, 2, 3}, {4, 5, 6}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if vs, err := ParseSummary(b); err == nil && !bytes.Equal(AppendSummary(nil, vs), b) {
			t.Fatalf("%x parses to %v", b, vs)
		}
	})
}
