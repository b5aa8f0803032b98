package huff

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

const (
	tableSize = 1 << MaxBits
	tableMask = tableSize - 1
	// perWord is how many look-ups one load of 64 bits feeds: up to seven bits are used up, 48 are needed.
	perWord = 4
	// atMost is how many symbols one look-up gives at the most: six fit in a word beside the two counts.
	atMost = 6
	// fastFrom is from how many symbols on the table of many pays for being made.
	fastFrom = 8 << 10
)

// Decoder decodes planes, one at a time. The zero value is ready; it is 57 KiB.
type Decoder struct {
	// many gives for the next MaxBits bits the symbols that are whole in them: six bytes of symbols, then
	// bitsShift how many bits they take, countShift how many there are.
	many [tableSize]uint64
	// one gives the first symbol alone: its bits in the low byte, the symbol above.
	one [tableSize]uint16
	// stage takes what the look-ups give before it goes where it belongs: in arrays of a fixed size the
	// compiler sees that every store is inside.
	stage [streams][stageSize + slack]byte
	taken [streams][stageSize + slack]byte // the same for what is decoded
}

const (
	bitsShift  = 48
	countShift = 54 // so that a shift by the word above bitsShift takes its low six bits
	stageSize  = 2 << 10
	stageMask  = stageSize - 1
)

// Decode fills dst from a coded plane, which must end where src does.
func (d *Decoder) Decode(dst, src []byte) error {
	if len(dst) > MaxPlane {
		return fmt.Errorf("%w: %d symbols, the most is %d", ErrCorrupt, len(dst), MaxPlane)
	}
	var l lengths
	src, err := l.readTable(src)
	if err != nil {
		return err
	}
	if len(src) < sizeLen {
		return ErrCorrupt
	}
	sizes := src[:sizeLen]
	src = src[sizeLen:]
	d.build(&l)
	quarter := (len(dst) + streams - 1) / streams
	var in, out [streams][]byte
	for i := range streams {
		n := len(src)
		if i < streams-1 {
			n = get24(sizes[3*i:])
		}
		if n > len(src) {
			return ErrCorrupt
		}
		in[i], src = src[:n], src[n:]
		out[i] = dst[min(i*quarter, len(dst)):min((i+1)*quarter, len(dst))]
	}
	var st [streams]state
	if len(dst) >= fastFrom {
		d.join(&l)
		d.fast(&st, &in, &out)
	}
	for i := range streams {
		if err := d.slow(st[i], in[i], out[i]); err != nil {
			return err
		}
	}
	return nil
}

// state is how far a stream is decoded.
type state struct {
	bit int // of in
	at  int // of out
}

func (d *Decoder) build(l *lengths) {
	codes := l.codes()
	for s, c := range codes {
		if c == noCode {
			continue
		}
		n := c >> 16
		for i := c & 0xffff; i < tableSize; i += 1 << n {
			d.one[i] = uint16(s)<<8 | uint16(n)
		}
	}
}

// join makes many out of one. An entry is its first symbol and the entry of the bits behind it, which is made already because it
// is smaller, without the symbols that need bits from beyond.
func (d *Decoder) join(l *lengths) {
	const low = 1<<bitsShift - 1
	for i := range d.many {
		o := d.one[i]
		first := int(o & 0xff)
		var rest uint64
		if i > 0 {
			rest = d.many[i>>(first&15)]
		}
		symbols, used, count := rest&low, int(rest>>bitsShift&63), int(rest>>countShift)
		for i == 0 && (count+1)*first+first <= MaxBits && count+1 < atMost { // all bits zero: its own rest
			symbols |= uint64(o>>8) << (8 * count)
			used += first
			count++
		}
		for used+first > MaxBits || count+1 > atMost {
			count--
			used -= int(l[byte(symbols>>(8*count))])
			symbols &^= 0xff << (8 * count)
		}
		d.many[i] = uint64(o>>8) | symbols<<8 | uint64(used+first)<<bitsShift | uint64(count+1)<<countShift
	}
}

// fast decodes all streams as far as whole words can be looked up without going over an end.
func (d *Decoder) fast(st *[streams]state, in, out *[streams][]byte) {
	for moved := true; moved; {
		var bit, at, end, room [streams]uint // of the stages
		for i := range st {
			start := st[i].bit >> 3
			n := copy(d.taken[i][:stageSize], in[i][min(start, len(in[i])):])
			bit[i], end[i] = uint(st[i].bit)&7, uint(8*n)
			room[i] = uint(min(stageSize, len(out[i])-st[i].at))
		}
		before := bit
		d.fill(&bit, &at, &end, &room)
		moved = false
		for i := range st {
			copy(out[i][st[i].at:], d.stage[i][:at[i]])
			st[i].at += int(at[i])
			st[i].bit += int(bit[i] - before[i])
			moved = moved || at[i] > 0
		}
	}
}

// fill decodes from taken, which has so many bits, to stage, which has so much room, until one is at its end.
func (d *Decoder) fill(bit, at, end, room *[streams]uint) {
	// A one above the bits that are needed moves down with them, and where it ends is how many were used.
	const mark = 1 << 63
	const most, longest = perWord * atMost, perWord * MaxBits // of a word
	b0, b1, b2, b3 := bit[0], bit[1], bit[2], bit[3]
	var a0, a1, a2, a3 uint
	for {
		// As many words as fit, whatever is in them.
		k := min((room[0]-a0)/most, (room[1]-a1)/most, (room[2]-a2)/most, (room[3]-a3)/most)
		for i, b := range [streams]uint{b0, b1, b2, b3} {
			k = min(k, (max(end[i], b)-b)/longest)
		}
		if k == 0 {
			break
		}
		for range k {
			w0 := binary.LittleEndian.Uint64(d.taken[0][b0>>3&stageMask:])>>(b0&7) | mark
			w1 := binary.LittleEndian.Uint64(d.taken[1][b1>>3&stageMask:])>>(b1&7) | mark
			w2 := binary.LittleEndian.Uint64(d.taken[2][b2>>3&stageMask:])>>(b2&7) | mark
			w3 := binary.LittleEndian.Uint64(d.taken[3][b3>>3&stageMask:])>>(b3&7) | mark
			w0, w1, w2, w3, a0, a1, a2, a3 = d.words(w0, w1, w2, w3, a0, a1, a2, a3)
			b0 += uint(bits.LeadingZeros64(w0))
			b1 += uint(bits.LeadingZeros64(w1))
			b2 += uint(bits.LeadingZeros64(w2))
			b3 += uint(bits.LeadingZeros64(w3))
		}
	}
	*bit = [streams]uint{b0, b1, b2, b3}
	*at = [streams]uint{a0, a1, a2, a3}
}

// words looks up what words of each stream hold. A look-up waits for the one before in its stream, hence all four at
// once; and it is a function of its own because the compiler then keeps all of it in registers.
//
//go:noinline
func (d *Decoder) words(w0, w1, w2, w3 uint64, a0, a1, a2, a3 uint) (_, _, _, _ uint64, _, _, _, _ uint) {
	for range perWord {
		e0 := d.many[w0&tableMask]
		binary.LittleEndian.PutUint64(d.stage[0][a0&stageMask:], e0)
		w0 >>= e0 >> bitsShift & 63
		a0 += uint(e0 >> countShift)
		e1 := d.many[w1&tableMask]
		binary.LittleEndian.PutUint64(d.stage[1][a1&stageMask:], e1)
		w1 >>= e1 >> bitsShift & 63
		a1 += uint(e1 >> countShift)
		e2 := d.many[w2&tableMask]
		binary.LittleEndian.PutUint64(d.stage[2][a2&stageMask:], e2)
		w2 >>= e2 >> bitsShift & 63
		a2 += uint(e2 >> countShift)
		e3 := d.many[w3&tableMask]
		binary.LittleEndian.PutUint64(d.stage[3][a3&stageMask:], e3)
		w3 >>= e3 >> bitsShift & 63
		a3 += uint(e3 >> countShift)
	}
	return w0, w1, w2, w3, a0, a1, a2, a3
}

// slow decodes what is left of a stream, symbol by symbol, and checks that it ends where it should.
func (d *Decoder) slow(st state, in, out []byte) error {
	end := 8 * len(in)
	for ; st.at < len(out); st.at++ {
		var w uint64
		if i := st.bit >> 3; i+8 <= len(in) {
			w = binary.LittleEndian.Uint64(in[i:])
		} else {
			for k := 0; i < len(in); k, i = k+8, i+1 {
				w |= uint64(in[i]) << k
			}
		}
		w >>= st.bit & 7
		o := d.one[w&tableMask]
		out[st.at] = byte(o >> 8)
		st.bit += int(o & 0xff)
	}
	if st.bit > end || end-st.bit >= 8 || (end > st.bit && in[len(in)-1]>>(st.bit&7) != 0) {
		return ErrCorrupt
	}
	return nil
}
