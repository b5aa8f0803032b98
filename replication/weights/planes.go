package weights

import "encoding/binary"

// Plane loops. They take whole words and sort bytes with shifts and masks, a byte of each lane at once. So that this takes few
// steps, planes have the elements in another order within each group of eight: the words of a group are laid over each other, a
// byte further each. Elements that do not fill a group are behind, in their own order.
//
//	two bytes    x = 0 1 2 3, y = 4 5 6 7            planes 0 4 1 5 2 6 3 7
//	four bytes   x = 0 1, y = 2 3, z = 4 5, w = 6 7  planes 0 4 2 6 1 5 3 7
//
// Slow twins in planes_test.go say what they do, one element at a time. What does not fill an element at the end of a piece
// stays as it is and is coded behind the planes.

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
	group     = 8
	evenBytes = 0x00ff00ff00ff00ff
	evenPairs = 0x0000ffff0000ffff
)

// Of each BF16 value s eeeeeeee mmmmmmm the top plane has e, the low one s and m.
const (
	signs16     = 0x8000800080008000
	mantissas16 = 0x007f007f007f007f
	exponents16 = 0x7f807f807f807f80
)

func splitBF16(low, top, src []byte) {
	for len(src) >= 2*group && len(low) >= group && len(top) >= group {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		binary.LittleEndian.PutUint64(top, x>>7&evenBytes|y<<1&^evenBytes)
		binary.LittleEndian.PutUint64(low, x>>8&(signs16>>8)|x&mantissas16|y&signs16|y&mantissas16<<8)
		src, low, top = src[2*group:], low[group:], top[group:]
	}
	for i := range low {
		u := binary.LittleEndian.Uint16(src[2*i:])
		top[i], low[i] = byte(u>>7), byte(u>>8&0x80|u&0x7f)
	}
}

func joinBF16(dst, low, top []byte) {
	for len(dst) >= 2*group && len(low) >= group && len(top) >= group {
		l, t := binary.LittleEndian.Uint64(low), binary.LittleEndian.Uint64(top)
		binary.LittleEndian.PutUint64(dst, t<<7&exponents16|l<<8&signs16|l&mantissas16)
		binary.LittleEndian.PutUint64(dst[8:], t>>1&exponents16|l&signs16|l>>8&mantissas16)
		dst, low, top = dst[2*group:], low[group:], top[group:]
	}
	for i := range low {
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(low[i]&0x80)<<8|uint16(low[i]&0x7f)|uint16(top[i])<<7)
	}
}

func split16(low, top, src []byte) {
	for len(src) >= 2*group && len(low) >= group && len(top) >= group {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		binary.LittleEndian.PutUint64(low, x&evenBytes|y<<8&^evenBytes)
		binary.LittleEndian.PutUint64(top, x>>8&evenBytes|y&^evenBytes)
		src, low, top = src[2*group:], low[group:], top[group:]
	}
	for i := range low {
		low[i], top[i] = src[2*i], src[2*i+1]
	}
}

func join16(dst, low, top []byte) {
	for len(dst) >= 2*group && len(low) >= group && len(top) >= group {
		l, t := binary.LittleEndian.Uint64(low), binary.LittleEndian.Uint64(top)
		binary.LittleEndian.PutUint64(dst, l&evenBytes|t<<8&^evenBytes)
		binary.LittleEndian.PutUint64(dst[8:], l>>8&evenBytes|t&^evenBytes)
		dst, low, top = dst[2*group:], low[group:], top[group:]
	}
	for i := range low {
		dst[2*i], dst[2*i+1] = low[i], top[i]
	}
}

// An F32 value is turned from s eeeeeeee m{23} to eeeeeeee s m{23}.
const (
	signs32     = 0x8000000080000000
	mantissas32 = 0x007fffff007fffff
	exponents32 = 0x7f8000007f800000
)

func rotate32(x uint64) uint64   { return x&exponents32<<1 | x&signs32>>8 | x&mantissas32 }
func unrotate32(x uint64) uint64 { return x>>1&exponents32 | x<<8&signs32 | x&mantissas32 }

func split32(planes [][]byte, src []byte, rotate bool) {
	p0, p1, p2, p3 := planes[0], planes[1], planes[2], planes[3]
	for len(src) >= 4*group && len(p0) >= group && len(p1) >= group && len(p2) >= group && len(p3) >= group {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		z, w := binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
		if rotate {
			x, y, z, w = rotate32(x), rotate32(y), rotate32(z), rotate32(w)
		}
		// Low pairs of bytes and high ones apart, then the bytes of each.
		a, b := x&evenPairs|y<<16&^evenPairs, x>>16&evenPairs|y&^evenPairs
		c, d := z&evenPairs|w<<16&^evenPairs, z>>16&evenPairs|w&^evenPairs
		binary.LittleEndian.PutUint64(p0, a&evenBytes|c<<8&^evenBytes)
		binary.LittleEndian.PutUint64(p1, a>>8&evenBytes|c&^evenBytes)
		binary.LittleEndian.PutUint64(p2, b&evenBytes|d<<8&^evenBytes)
		binary.LittleEndian.PutUint64(p3, b>>8&evenBytes|d&^evenBytes)
		src, p0, p1, p2, p3 = src[4*group:], p0[group:], p1[group:], p2[group:], p3[group:]
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
	for len(dst) >= 4*group && len(p0) >= group && len(p1) >= group && len(p2) >= group && len(p3) >= group {
		e, f := binary.LittleEndian.Uint64(p0), binary.LittleEndian.Uint64(p1)
		a, c := e&evenBytes|f<<8&^evenBytes, e>>8&evenBytes|f&^evenBytes
		e, f = binary.LittleEndian.Uint64(p2), binary.LittleEndian.Uint64(p3)
		b, d := e&evenBytes|f<<8&^evenBytes, e>>8&evenBytes|f&^evenBytes
		x, y := a&evenPairs|b<<16&^evenPairs, a>>16&evenPairs|b&^evenPairs
		z, w := c&evenPairs|d<<16&^evenPairs, c>>16&evenPairs|d&^evenPairs
		if rotate {
			x, y, z, w = unrotate32(x), unrotate32(y), unrotate32(z), unrotate32(w)
		}
		binary.LittleEndian.PutUint64(dst, x)
		binary.LittleEndian.PutUint64(dst[8:], y)
		binary.LittleEndian.PutUint64(dst[16:], z)
		binary.LittleEndian.PutUint64(dst[24:], w)
		dst, p0, p1, p2, p3 = dst[4*group:], p0[group:], p1[group:], p2[group:], p3[group:]
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
