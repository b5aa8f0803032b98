package weights

import "encoding/binary"

// Plane loops. They take eight bytes at a time and sort them with shifts and masks: a mask and two shifts move a byte of
// each lane at once. Slow twins in planes_test.go say what they do, one element at a time.
//
// What does not fill an element at the end of a piece stays as it is and is coded behind the planes.

// split fills planes, each of n elements, from src and gives them, from the lowest byte up (or field by field). The
// planes lie one behind the other in buf, which has room for all of src.
func (l *layout) split(planes [][]byte, buf, src []byte) (_ [][]byte, rest []byte) {
	planes = planes[:0]
	if l.fields != nil {
		return l.splitFields(planes, buf, src)
	}
	w := l.planes()
	n := len(src) / w
	for i := range w {
		planes = append(planes, buf[i*n:(i+1)*n:(i+1)*n])
	}
	body, rest := src[:n*w], src[n*w:]
	switch {
	case w == 1:
		planes[0] = body
	case w == 2 && l.rotate:
		splitBF16(planes[0], planes[1], body)
	case w == 2:
		split16(planes[0], planes[1], body)
	case w == 4:
		split32(planes, body, l.rotate)
	default:
		split64(planes, body)
	}
	return planes, rest
}

// join is the inverse of split. The planes and rest must be as long as split makes them of a dst of this length.
func (l *layout) join(dst []byte, planes [][]byte) (rest []byte) {
	if l.fields != nil {
		return l.joinFields(dst, planes)
	}
	w := l.planes()
	n := len(dst) / w
	body := dst[:n*w]
	switch {
	case w == 1:
		copy(body, planes[0])
	case w == 2 && l.rotate:
		joinBF16(body, planes[0], planes[1])
	case w == 2:
		join16(body, planes[0], planes[1])
	case w == 4:
		join32(body, planes, l.rotate)
	default:
		join64(body, planes)
	}
	return dst[n*w:]
}

const (
	evenBytes = 0x00ff00ff00ff00ff
	evenPairs = 0x0000ffff0000ffff
)

// pack moves the bytes 0, 2, 4 and 6 of x together into the low four.
func pack(x uint64) uint64 {
	x &= evenBytes
	x = (x | x>>8) & evenPairs
	return (x | x>>16) & 0xffffffff
}

// spread is the inverse of pack.
func spread(x uint64) uint64 {
	x = (x | x<<16) & evenPairs
	return (x | x<<8) & evenBytes
}

// Of each BF16 value s eeeeeeee mmmmmmm the top plane has e, the low one s and m.
const (
	signs16     = 0x8000800080008000
	mantissas16 = 0x007f007f007f007f
	exponents16 = 0x7f807f807f807f80
)

func splitBF16(low, top, src []byte) {
	for len(src) >= 16 && len(low) >= 8 && len(top) >= 8 {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		src = src[16:]
		binary.LittleEndian.PutUint64(top, pack(x>>7)|pack(y>>7)<<32)
		x, y = x>>8&^mantissas16&evenBytes|x&mantissas16, y>>8&^mantissas16&evenBytes|y&mantissas16
		binary.LittleEndian.PutUint64(low, pack(x)|pack(y)<<32)
		low, top = low[8:], top[8:]
	}
	for i := range low {
		u := binary.LittleEndian.Uint16(src[2*i:])
		top[i], low[i] = byte(u>>7), byte(u>>8&0x80|u&0x7f)
	}
}

func joinBF16(dst, low, top []byte) {
	for len(dst) >= 16 && len(low) >= 8 && len(top) >= 8 {
		l, t := binary.LittleEndian.Uint64(low), binary.LittleEndian.Uint64(top)
		low, top = low[8:], top[8:]
		x, y := spread(l&0xffffffff), spread(l>>32)
		x = x<<8&signs16 | x&mantissas16 | spread(t&0xffffffff)<<7
		y = y<<8&signs16 | y&mantissas16 | spread(t>>32)<<7
		binary.LittleEndian.PutUint64(dst, x)
		binary.LittleEndian.PutUint64(dst[8:], y)
		dst = dst[16:]
	}
	for i := range low {
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(low[i]&0x80)<<8|uint16(low[i]&0x7f)|uint16(top[i])<<7)
	}
}

func split16(low, top, src []byte) {
	for len(src) >= 16 && len(low) >= 8 && len(top) >= 8 {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		src = src[16:]
		binary.LittleEndian.PutUint64(low, pack(x)|pack(y)<<32)
		binary.LittleEndian.PutUint64(top, pack(x>>8)|pack(y>>8)<<32)
		low, top = low[8:], top[8:]
	}
	for i := range low {
		low[i], top[i] = src[2*i], src[2*i+1]
	}
}

func join16(dst, low, top []byte) {
	for len(dst) >= 16 && len(low) >= 8 && len(top) >= 8 {
		l, t := binary.LittleEndian.Uint64(low), binary.LittleEndian.Uint64(top)
		low, top = low[8:], top[8:]
		binary.LittleEndian.PutUint64(dst, spread(l&0xffffffff)|spread(t&0xffffffff)<<8)
		binary.LittleEndian.PutUint64(dst[8:], spread(l>>32)|spread(t>>32)<<8)
		dst = dst[16:]
	}
	for i := range low {
		dst[2*i], dst[2*i+1] = low[i], top[i]
	}
}

// rotations of F32: s eeeeeeee m{23} to eeeeeeee s m{23}.
const (
	signs32     = 0x8000000080000000
	mantissas32 = 0x007fffff007fffff
	exponents32 = 0x7f8000007f800000
	topBits32   = 0x0080000000800000
)

func rotate32(x uint64) uint64   { return x&exponents32<<1 | x&signs32>>8 | x&mantissas32 }
func unrotate32(x uint64) uint64 { return x>>1&exponents32 | x&topBits32<<8 | x&mantissas32 }

func split32(planes [][]byte, src []byte, rotate bool) {
	p0, p1, p2, p3 := planes[0], planes[1], planes[2], planes[3]
	for len(src) >= 16 && len(p0) >= 4 && len(p1) >= 4 && len(p2) >= 4 && len(p3) >= 4 {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		src = src[16:]
		if rotate {
			x, y = rotate32(x), rotate32(y)
		}
		// Bytes 0 1 2 3 of four elements; even ones and odd ones apart, then again.
		e, o := pack(x)|pack(y)<<32, pack(x>>8)|pack(y>>8)<<32
		binary.LittleEndian.PutUint32(p0, uint32(pack(e)))
		binary.LittleEndian.PutUint32(p2, uint32(pack(e>>8)))
		binary.LittleEndian.PutUint32(p1, uint32(pack(o)))
		binary.LittleEndian.PutUint32(p3, uint32(pack(o>>8)))
		p0, p1, p2, p3 = p0[4:], p1[4:], p2[4:], p3[4:]
	}
	for i := range p0 {
		u := uint64(binary.LittleEndian.Uint32(src[4*i:]))
		if rotate {
			u = rotate32(u)
		}
		p0[i], p1[i], p2[i], p3[i] = byte(u), byte(u>>8), byte(u>>16), byte(u>>24)
	}
}

func join32(dst []byte, planes [][]byte, rotate bool) {
	p0, p1, p2, p3 := planes[0], planes[1], planes[2], planes[3]
	for len(dst) >= 16 && len(p0) >= 4 && len(p1) >= 4 && len(p2) >= 4 && len(p3) >= 4 {
		e := spread(uint64(binary.LittleEndian.Uint32(p0))) | spread(uint64(binary.LittleEndian.Uint32(p2)))<<8
		o := spread(uint64(binary.LittleEndian.Uint32(p1))) | spread(uint64(binary.LittleEndian.Uint32(p3)))<<8
		p0, p1, p2, p3 = p0[4:], p1[4:], p2[4:], p3[4:]
		x, y := spread(e&0xffffffff)|spread(o&0xffffffff)<<8, spread(e>>32)|spread(o>>32)<<8
		if rotate {
			x, y = unrotate32(x), unrotate32(y)
		}
		binary.LittleEndian.PutUint64(dst, x)
		binary.LittleEndian.PutUint64(dst[8:], y)
		dst = dst[16:]
	}
	for i := range p0 {
		u := uint64(p0[i]) | uint64(p1[i])<<8 | uint64(p2[i])<<16 | uint64(p3[i])<<24
		if rotate {
			u = unrotate32(u)
		}
		binary.LittleEndian.PutUint32(dst[4*i:], uint32(u))
	}
}

func split64(planes [][]byte, src []byte) {
	for i := range planes[0] {
		x := binary.LittleEndian.Uint64(src[8*i:])
		for k := range planes {
			planes[k][i] = byte(x >> (8 * k))
		}
	}
}

func join64(dst []byte, planes [][]byte) {
	for i := range planes[0] {
		var x uint64
		for k := range planes {
			x |= uint64(planes[k][i]) << (8 * k)
		}
		binary.LittleEndian.PutUint64(dst[8*i:], x)
	}
}

func (l *layout) block() (n int) {
	for _, f := range l.fields {
		n += f
	}
	return n
}

func (l *layout) splitFields(planes [][]byte, buf, src []byte) (_ [][]byte, rest []byte) {
	size := l.block()
	n := len(src) / size
	at := 0
	for _, f := range l.fields {
		plane := buf[:n*f]
		buf = buf[n*f:]
		for i := range n {
			copy(plane[i*f:(i+1)*f], src[i*size+at:])
		}
		planes = append(planes, plane)
		at += f
	}
	return planes, src[n*size:]
}

func (l *layout) joinFields(dst []byte, planes [][]byte) (rest []byte) {
	size := l.block()
	n := len(dst) / size
	at := 0
	for k, f := range l.fields {
		for i := range n {
			copy(dst[i*size+at:], planes[k][i*f:(i+1)*f])
		}
		at += f
	}
	return dst[n*size:]
}

// planeLens gives how long each plane of n bytes is, and the rest.
func (l *layout) planeLens(lens []int, n int) (_ []int, rest int) {
	lens = lens[:0]
	if l.fields != nil {
		blocks := n / l.block()
		for _, f := range l.fields {
			lens = append(lens, blocks*f)
		}
		return lens, n - blocks*l.block()
	}
	w := l.planes()
	for range w {
		lens = append(lens, n/w)
	}
	return lens, n % w
}
