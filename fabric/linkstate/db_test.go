package linkstate

import (
	"crypto/ed25519"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

const refresh = 10 * time.Second

var epoch = time.Unix(1_795_500_000, 0)

// trustAll knows routers 1 to 9, whose keys are testKey(n).
var trustAll = Trust{Key: func(r topo.RouterID) (ed25519.PublicKey, bool) {
	return testKey(byte(r)).Public().(ed25519.PublicKey), r < 10
}}

func word(t interface{ Fatal(...any) }, origin topo.RouterID, inc, seq uint64, to ...topo.RouterID) Signed {
	r := Record{Origin: origin, Incarnation: inc, Seq: seq, Issued: epoch}
	for _, n := range to {
		r.Links = append(r.Links, Link{To: n, Up: true})
	}
	s, err := Sign(r, signWith(testKey(byte(origin))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustMerge(t *testing.T, d *DB, now time.Time, s Signed, want bool) {
	t.Helper()
	if got, err := d.Merge(now, s, trustAll); err != nil || got != want {
		t.Fatalf("merge: changed %v, %v; want changed %v", got, err, want)
	}
}

func TestMergeOrder(t *testing.T) {
	d := NewDB(1, refresh)
	mustMerge(t, d, epoch, word(t, 2, 5, 3), true)
	mustMerge(t, d, epoch, word(t, 2, 5, 3), false)
	mustMerge(t, d, epoch, word(t, 2, 5, 2), false)
	mustMerge(t, d, epoch, word(t, 2, 4, 9), false) // a former life
	mustMerge(t, d, epoch, word(t, 2, 6, 1), true)  // the next life starts to count anew
	if r, _ := d.Get(2); r.Incarnation != 6 {
		t.Fatalf("holds %+v", r)
	}
}

func TestMergeRefuses(t *testing.T) {
	d := NewDB(1, refresh)
	forged := word(t, 2, 1, 1)
	forged.Sig = word(t, 3, 1, 1).Sig
	stale := word(t, 2, 1, 1)
	stale.Age = 3 * refresh
	refused := errors.New("prefix not granted")
	check := trustAll
	check.Check = func(Record) error { return refused }
	for name, c := range map[string]struct {
		s    Signed
		t    Trust
		want error
	}{
		"stranger":  {word(t, 11, 1, 1), trustAll, ErrStranger},
		"forged":    {forged, trustAll, ErrSignature},
		"expired":   {stale, trustAll, ErrExpired},
		"unchecked": {word(t, 2, 1, 1), check, refused},
		"no record": {Signed{Record: []byte("hello")}, trustAll, ErrFormat},
	} {
		if changed, err := d.Merge(epoch, c.s, c.t); changed || !errors.Is(err, c.want) {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
	}
	if len(d.All()) != 0 {
		t.Fatalf("holds %v", d.All())
	}
	mustMerge(t, d, epoch, word(t, 2, 1, 1), true) // a refusal is not remembered against the origin
}

// TestNoSecondLife: a record that expired here does not come back from a partition that still has it.
func TestNoSecondLife(t *testing.T) {
	d, other := NewDB(1, refresh), NewDB(3, refresh)
	s := word(t, 2, 1, 1)
	mustMerge(t, d, epoch, s, true)
	later := epoch.Add(refresh)
	s, _ = d.Signed(later, 2)
	if s.Age != refresh {
		t.Fatalf("age on the way %s", s.Age)
	}
	mustMerge(t, other, later, s, true)
	if at := other.NextAge(); !at.Equal(epoch.Add(3 * refresh)) {
		t.Fatalf("expires %s after birth", at.Sub(epoch)) // the way does not make it younger
	}
	end := epoch.Add(3 * refresh)
	if gone := d.Age(end, nil); !reflect.DeepEqual(gone, []topo.RouterID{2}) {
		t.Fatalf("gone %v", gone)
	}
	s.Age = 0 // a liar on the way
	mustMerge(t, d, end, s, false)
	mustMerge(t, d, end, word(t, 2, 1, 2), true)
	if gone := d.Age(end, func(r topo.RouterID) bool { return r != 2 }); len(gone) != 1 || len(d.Summary()) != 0 {
		t.Fatalf("removed member: gone %v, left %v", gone, d.Summary())
	}
}

// TestOwnFormerLife: after a restart with a clock that went back, a router learns from its peers what it
// must exceed.
func TestOwnFormerLife(t *testing.T) {
	d := NewDB(1, refresh)
	mustMerge(t, d, epoch, word(t, 1, 5, 1), true)
	mustMerge(t, d, epoch, word(t, 1, 9, 7), true)
	if own := d.Own(); own != (Version{1, 9, 7}) {
		t.Fatalf("own %v", own)
	}
}

func TestFull(t *testing.T) {
	any := Trust{Key: func(topo.RouterID) (ed25519.PublicKey, bool) { return testKey(1).Public().(ed25519.PublicKey), true }}
	d := NewDB(1, refresh)
	for i := range MaxOrigins + 1 {
		s, err := Sign(Record{Origin: topo.RouterID(i + 1), Issued: epoch}, signWith(testKey(1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Merge(epoch, s, any)
		if full := errors.Is(err, ErrFull); full != (i == MaxOrigins) {
			t.Fatalf("origin %d: %v", i, err)
		}
	}
	if vs, err := ParseSummary(AppendSummary(nil, d.Summary())); err != nil || len(vs) != MaxOrigins {
		t.Fatalf("summary of %d, %v", len(vs), err)
	}
}

// TestConverge: two databases that got any records in any order agree after one exchange.
func TestConverge(t *testing.T) {
	var pool []Signed
	for origin := topo.RouterID(1); origin < 6; origin++ {
		for inc := range uint64(2) {
			for seq := range uint64(3) {
				pool = append(pool, word(t, origin, inc, seq, origin+1))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := NewDB(8, refresh), NewDB(9, refresh)
		for _, d := range []*DB{a, b} {
			for _, i := range rapid.SliceOf(rapid.IntRange(0, len(pool)-1)).Draw(t, "words") {
				if _, err := d.Merge(epoch, pool[i], trustAll); err != nil {
					t.Fatal(err)
				}
			}
		}
		sa, sb := a.Summary(), b.Summary()
		toA, toB := b.Missing(epoch, sa), a.Missing(epoch, sb)
		for _, x := range []struct {
			d     *DB
			words []Signed
		}{{a, toA}, {b, toB}} {
			for _, s := range x.words {
				if changed, err := x.d.Merge(epoch, s, trustAll); err != nil || !changed {
					t.Fatalf("missing record was no news: %v", err)
				}
			}
		}
		if !reflect.DeepEqual(a.All(), b.All()) {
			t.Fatalf("a %v\nb %v", a.All(), b.All())
		}
		if n := len(a.Missing(epoch, b.Summary())); n != 0 {
			t.Fatalf("%d records still missing", n)
		}
	})
}

func TestSignificant(t *testing.T) {
	base := Link{To: 2, RTT: 100 * time.Millisecond, LossPPM: 1000, RateMbps: 900, MTU: 1400, Up: true}
	for name, c := range map[string]struct {
		change func(*Link)
		want   bool
	}{
		"nothing":     {func(*Link) {}, false},
		"state":       {func(l *Link) { l.Up = false }, true},
		"mtu":         {func(l *Link) { l.MTU = 1280 }, true},
		"rtt little":  {func(l *Link) { l.RTT += 9 * time.Millisecond }, false},
		"rtt":         {func(l *Link) { l.RTT += 12 * time.Millisecond }, true},
		"rtt less":    {func(l *Link) { l.RTT -= 12 * time.Millisecond }, true},
		"loss breath": {func(l *Link) { l.LossPPM = 4000 }, false},
		"loss":        {func(l *Link) { l.LossPPM = 20_000 }, true},
		"rate":        {func(l *Link) { l.RateMbps = 400 }, true},
		"rate some":   {func(l *Link) { l.RateMbps = 700 }, false},
	} {
		l := base
		c.change(&l)
		if got := Significant(base, l); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
