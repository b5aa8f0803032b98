package wan

// buffers lends memory for frames in flight and keeps what comes back. A small frame in a large buffer
// would cost thirty times its size for a tenth of a second, hence the classes. Not safe for use by several
// goroutines: the network's lock guards it.
type buffers struct {
	free [len(bufferSizes)][][]byte
	kept int // bytes in free
}

// The classes: a packet of the usual MTU, a short super-packet, and the longest frame that a kernel hands over.
var bufferSizes = [...]int{2 << 10, 16 << 10, maxFrame}

const (
	maxFrame = vnetLen + 64<<10
	// maxKept bounds the memory that lies idle after a burst.
	maxKept = 64 << 20
)

// get lends an empty buffer with room for n bytes.
func (p *buffers) get(n int) []byte {
	class := 0
	for bufferSizes[class] < n {
		class++
	}
	if last := len(p.free[class]) - 1; last >= 0 {
		b := p.free[class][last]
		p.free[class] = p.free[class][:last]
		p.kept -= cap(b)
		return b[:0]
	}
	return make([]byte, 0, bufferSizes[class])
}

// put takes a buffer back.
func (p *buffers) put(b []byte) {
	if p.kept+cap(b) > maxKept {
		return
	}
	for class, size := range bufferSizes {
		if cap(b) == size {
			p.free[class] = append(p.free[class], b)
			p.kept += size
			return
		}
	}
	panic("wan: a buffer came back that was never lent")
}
