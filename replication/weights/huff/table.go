package huff

const (
	runShort = 13 // of symbols that do not occur
	runLong  = 14
	runSame  = 15

	minShort, minLong, minSame = 2, 18, 3
	maxShort                   = minShort + 15
	maxLong                    = minLong + 255
	maxSame                    = minSame + 15
)

// nibbles writes half bytes, low half first.
type nibbles struct {
	b   []byte
	odd bool
}

func (w *nibbles) put(v ...int) {
	for _, v := range v {
		if w.odd {
			w.b[len(w.b)-1] |= byte(v) << 4
		} else {
			w.b = append(w.b, byte(v))
		}
		w.odd = !w.odd
	}
}

// appendTable writes the table.
func (l *lengths) appendTable(dst []byte) []byte {
	w := nibbles{b: dst}
	for i := 0; i < len(l); {
		run := 1
		for i+run < len(l) && l[i+run] == l[i] {
			run++
		}
		switch {
		case l[i] == 0 && run >= minLong:
			run = min(run, maxLong)
			w.put(runLong, (run-minLong)&15, (run-minLong)>>4)
		case l[i] == 0 && run >= minShort:
			run = min(run, maxShort)
			w.put(runShort, run-minShort)
		case i > 0 && l[i] == l[i-1] && run >= minSame:
			run = min(run, maxSame)
			w.put(runSame, run-minSame)
		default:
			run = 1
			w.put(int(l[i]))
		}
		i += run
	}
	return w.b
}

// readTable reads a table and gives what lies behind it.
func (l *lengths) readTable(src []byte) ([]byte, error) {
	at := 0 // in nibbles
	next := func() int {
		if at>>1 >= len(src) {
			return -1
		}
		v := int(src[at>>1]>>(4*(at&1))) & 15
		at++
		return v
	}
	for i := 0; i < len(l); {
		v, run := next(), 1
		length := uint8(0)
		switch {
		case v < 0:
			return nil, ErrCorrupt
		case v <= MaxBits:
			length = uint8(v)
		case v == runShort:
			run = minShort + next()
		case v == runLong:
			a, b := next(), next()
			if b < 0 {
				return nil, ErrCorrupt
			}
			run = minLong + a + b<<4
		case v == runSame && i > 0:
			run, length = minSame+next(), l[i-1]
		default:
			return nil, ErrCorrupt
		}
		if i+run > len(l) {
			return nil, ErrCorrupt
		}
		for range run {
			l[i] = length
			i++
		}
	}
	if at&1 == 1 && next() != 0 {
		return nil, ErrCorrupt
	}
	if !l.complete() {
		return nil, ErrCorrupt
	}
	return src[at>>1:], nil
}
