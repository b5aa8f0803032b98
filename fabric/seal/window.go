package seal

// A replay window after RFC 6479: a ring of words whose oldest is cleared when the newest is
// entered, so that nothing is ever shifted.

const (
	windowWords = 128
	wordBits    = 64

	// WindowLen is how far behind the newest counter a packet may arrive: 9 ms at a million packets
	// a second, which is more than the paths inside one five-tuple reorder. It is one word less than
	// the ring holds, since the newest word is only partly in use.
	WindowLen = (windowWords - 1) * wordBits
)

// window remembers which counters were seen. The zero value has seen none.
type window struct {
	next uint64 // one more than the highest counter marked
	ring [windowWords]uint64
}

// fresh tells whether counter n may still be accepted. It changes nothing.
func (w *window) fresh(n uint64) bool {
	if n >= w.next {
		return true
	}
	if w.next-n > WindowLen {
		return false
	}
	return w.ring[n/wordBits%windowWords]&(1<<(n%wordBits)) == 0
}

// mark records counter n, for which fresh was true.
func (w *window) mark(n uint64) {
	if n >= w.next {
		if w.next > 0 {
			entered := min(n/wordBits-(w.next-1)/wordBits, windowWords)
			for i := range entered {
				w.ring[(n/wordBits-i)%windowWords] = 0
			}
		}
		w.next = n + 1
	}
	w.ring[n/wordBits%windowWords] |= 1 << (n % wordBits)
}
