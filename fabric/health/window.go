package health

// reorder is how far behind the newest a probe of an old peer may come before it counts as lost.
const reorder = 2

// inbound remembers which of the peer's last probes arrived.
type inbound struct {
	first, high uint64 // first and newest number heard since the start of the measurement; 0 is none
	seen        [window]uint64
}

// add notes number seq. fresh is false for one that was there before or is too old to tell.
func (w *inbound) add(seq uint64) (fresh bool) {
	if w.high == 0 {
		w.first, w.high = seq, seq
	}
	if seq+window <= w.high || w.has(seq) || seq < w.first {
		return false
	}
	w.high = max(w.high, seq)
	w.seen[seq%window] = seq
	return true
}

func (w *inbound) has(seq uint64) bool { return w.seen[seq%window] == seq && seq != 0 }

// bits says which of the numbers up to newest were heard: bit i stands for newest-i.
func (w *inbound) bits(newest uint64) (b uint64) {
	for i := range uint64(heardBits) {
		if newest > i && w.has(newest-i) {
			b |= 1 << i
		}
	}
	return b
}

// loss counts what is missing among the small probes that should have arrived by now.
func (w *inbound) loss(full func(uint64) bool) (ppm uint32, enough bool) {
	if w.high <= w.first+reorder {
		return 0, false
	}
	to := w.high - reorder
	from := w.first
	if w.high > window {
		from = max(from, w.high-window+1)
	}
	expected, missing := 0, 0
	for s := from; s <= to; s++ {
		if full(s) {
			continue
		}
		expected++
		if !w.has(s) {
			missing++
		}
	}
	return ppmOf(missing, expected), expected >= minWindow
}

// outbound remembers what the peer said of our probes.
type outbound struct {
	marks [window]mark // ring, oldest at next when full
	n     int
	next  int
}

type mark struct{ echo, received uint64 }

func (w *outbound) add(m mark) {
	if w.n > 0 && m.echo <= w.last().echo {
		return
	}
	w.marks[w.next] = m
	w.next = (w.next + 1) % window
	w.n = min(w.n+1, window)
}

func (w *outbound) last() mark { return w.marks[(w.next+window-1)%window] }

func (w *outbound) loss(full func(uint64) bool) (ppm uint32, enough bool) {
	if w.n < 2 {
		return 0, false
	}
	old, last := w.marks[(w.next+window-w.n)%window], w.last()
	span := last.echo - old.echo
	if span > 4*window || last.received < old.received {
		return 0, false // the peer started to count anew
	}
	expected := 0
	for s := old.echo + 1; s <= last.echo; s++ {
		if !full(s) {
			expected++
		}
	}
	// Reordering can put a probe on either side of a mark, and a peer can say what it likes: more than was
	// expected is all of it.
	arrived := min(last.received-old.received, uint64(expected))
	return ppmOf(expected-int(arrived), expected), expected >= minWindow
}

func ppmOf(part, whole int) uint32 {
	if whole == 0 {
		return 0
	}
	return uint32(int64(part) * million / int64(whole))
}
