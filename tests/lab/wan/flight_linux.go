package wan

// arrival is a frame in flight.
type arrival struct {
	at    Instant
	order uint64 // of sending, so that what is due at the same time arrives as it was sent
	frame frame
	path  *path
	cuts  uint32 // Link.Cuts when it was sent
	count int    // segments in it
}

func (a *arrival) before(b *arrival) bool {
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// flight is every frame in flight, a binary heap by the time of arrival. It is written out rather than left
// to container/heap, whose calls through an interface would allocate for each frame.
type flight struct {
	heap  []arrival
	order uint64
	bytes int
}

// next says when the first frame is due.
func (f *flight) next() (Instant, bool) {
	if len(f.heap) == 0 {
		return 0, false
	}
	return f.heap[0].at, true
}

func (f *flight) push(a arrival) {
	a.order = f.order
	f.order++
	f.bytes += cap(a.frame)
	f.heap = append(f.heap, a)
	h := f.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (f *flight) pop() arrival {
	h := f.heap
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], arrival{}
	h = h[:last]
	f.heap = h
	f.bytes -= cap(first.frame)
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < len(h); down++ {
			if h[down].before(&h[least]) {
				least = down
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
