package weights

// Level is how much work an encoder puts into a frame. Any decoder reads any level.
type Level uint8

// The levels, from the fastest on.
const (
	// Plain finds what is the same as the base and sends the rest as it is.
	Plain Level = iota
	// Swift finds what changed as well, and codes it.
	Swift
	// Dense splits into planes and codes those that shrink.
	Dense
	// Densest tries zstd harder, for links that are slow.
	Densest
	levels
)

var levelNames = [levels]string{"plain", "swift", "dense", "densest"}

func (l Level) String() string { return levelNames[min(l, levels-1)] }

// Rate is what a level does to a kind of file.
type Rate struct {
	Speed float64 // bytes of files per second and core
	Ratio float64 // bytes on the wire for each byte of a file
}

// Rates are those of all levels. The zero value has those of BF16 weights without a base, from tests/bench/results, and
// Observe then follows what the machine and the files are really like.
type Rates struct {
	of   [levels]Rate
	seen [levels]bool
}

// firstRates are what is assumed before anything was seen.
var firstRates = [levels]Rate{
	Plain:   {3e9, 1},
	Swift:   {2.5e9, 1},
	Dense:   {600e6, 0.67},
	Densest: {400e6, 0.66},
}

// lately is how much of an observation goes into a rate.
const lately = 0.25

// Of gives a level's rate.
func (r *Rates) Of(l Level) Rate {
	if !r.seen[l] {
		return firstRates[l]
	}
	return r.of[l]
}

// Observe takes what a level made of so many bytes of a file in so many seconds of a core.
func (r *Rates) Observe(l Level, file, wire int, seconds float64) {
	if file <= 0 || seconds <= 0 {
		return
	}
	now := Rate{float64(file) / seconds, float64(wire) / float64(file)}
	if r.seen[l] {
		old := r.of[l]
		now = Rate{old.Speed + lately*(now.Speed-old.Speed), old.Ratio + lately*(now.Ratio-old.Ratio)}
	}
	r.of[l], r.seen[l] = now, true
}

// For gives the level for a link of so many bytes per second, with so many cores to spare: the one with which a file is
// over soonest, and of two that are equally soon the one with fewer bytes. A level that codes more slowly than the
// link carries raw bytes is not taken, so that coding never makes a link slower than it is; Plain is what is left.
func (r *Rates) For(link, cores float64) Level {
	best, soonest := Plain, 0.0
	for l := Plain; l < levels; l++ {
		rate := r.Of(l)
		speed := rate.Speed * cores
		if l != Plain && speed < link {
			continue
		}
		if pace := min(speed, link/max(rate.Ratio, 1e-6)); pace >= soonest*0.999 {
			best, soonest = l, pace
		}
	}
	return best
}
