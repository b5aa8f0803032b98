package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/galleon-net/galleon/replication/weights/table"
)

const (
	// MaxPiece is the most bytes of a tensor in one frame: long enough that tables and headers cost nothing,
	// short enough that piece, base and planes stay in a second-level cache.
	MaxPiece = 1 << 20
	// HeaderLen is a frame's header.
	HeaderLen = 42
	// MaxFrame is the longest frame: when nothing helps, a piece is in it as it is.
	MaxFrame = HeaderLen + MaxPiece

	version = 1
)

// Mode is how a piece is in its frame. The numbers are in frames.
type Mode uint8

// The modes. All from Same on but Split need the base.
const (
	Raw   Mode = 0 // as it is
	Same  Mode = 1 // as the base
	Split Mode = 2 // planes
	Xor   Mode = 3 // planes of the exclusive or with the base
	Steps Mode = 4 // how far each element is from the base's
	Patch Mode = 5 // the elements that are not the base's
	modes      = 6
)

var modeNames = [modes]string{"raw", "same", "split", "xor", "steps", "patch"}

func (m Mode) String() string {
	if m < modes {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// NeedsBase says whether a frame of this mode can be decoded only with its base.
func (m Mode) NeedsBase() bool { return m == Same || m >= Xor }

// Header is what a frame says of itself.
type Header struct {
	Mode  Mode
	DType table.DType
	Raw   int // bytes of the piece
	Body  int // bytes of the frame behind the header
	Sum   Sum // of the piece
}

// ParseHeader reads the header at the beginning of a frame; the frame is HeaderLen + Body bytes.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) < HeaderLen {
		return h, corrupt("a frame of %d bytes", len(b))
	}
	if b[0]>>4 != version {
		return h, corrupt("a frame of version %d; this is %d", b[0]>>4, version)
	}
	h = Header{Mode: Mode(b[0] & 15), DType: table.DType(b[1]), Sum: Sum(b[10:])}
	raw, body := binary.LittleEndian.Uint32(b[2:]), binary.LittleEndian.Uint32(b[6:])
	if h.Mode >= modes || !h.DType.Valid() || raw > MaxPiece || body > raw {
		return h, corrupt("a frame with %v, type %d, %d bytes of %d", h.Mode, b[1], body, raw)
	}
	h.Raw, h.Body = int(raw), int(body)
	return h, nil
}

func putHeader(b []byte, h Header) {
	b[0], b[1] = version<<4|byte(h.Mode), byte(h.DType)
	binary.LittleEndian.PutUint32(b[2:], uint32(h.Raw))
	binary.LittleEndian.PutUint32(b[6:], uint32(h.Body))
	copy(b[10:HeaderLen], h.Sum[:])
}

// Encoder makes frames. It keeps what it learned of the last pieces, so one tensor after another should
// go through it; any other order is only slower. It holds about 5 MiB and is not safe for concurrent use.
type Encoder struct {
	coder   coder
	list    []uint32
	numbers [numbersBlock]uint32
	syms    []byte
	bits    []byte
	split   []byte // planes
	xor     []byte
	planes  [][]byte
	hints   [hintCount]hint
	plan    choice
	sampler sampler
}

// Hints by what is coded: planes of values, planes of differences, numbers.
const (
	hintSplit  = 0
	hintXor    = 8
	hintSteps  = 16
	hintGaps   = 17
	hintValues = 18
	hintCount  = 19
)

// NewEncoder gives an encoder that works as hard as level says.
func NewEncoder(level Level) *Encoder {
	return &Encoder{coder: coder{level: level}}
}

// Next says that another tensor begins: what was learned is forgotten.
func (e *Encoder) Next() {
	e.hints = [hintCount]hint{}
	e.plan = choice{}
}

// AppendFrame appends the frame of a piece of at most MaxPiece bytes to dst. Base is nil or as long as the
// piece; sum is the piece's, or nil to have it computed. The frame is never longer than HeaderLen and the piece.
func (e *Encoder) AppendFrame(dst []byte, d table.DType, piece, base []byte, sum *Sum) []byte {
	if len(piece) > MaxPiece || base != nil && len(base) != len(piece) {
		panic(fmt.Sprintf("weights: a piece of %d bytes with a base of %d; the most is %d", len(piece), len(base), MaxPiece))
	}
	h := Header{DType: d, Raw: len(piece)}
	if sum == nil {
		h.Sum = SumOf(piece)
	} else {
		h.Sum = *sum
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderLen)...)
	dst, h.Mode, h.DType = e.body(dst, d, piece, base)
	if h.Body = len(dst) - start - HeaderLen; h.Body >= h.Raw && h.Mode != Raw {
		h.Mode, h.DType, h.Body = Raw, d, h.Raw
		dst = append(dst[:start+HeaderLen], piece...)
		e.plan.left = 0
	}
	putHeader(dst[start:], h)
	return dst
}

// body appends the shortest body that is found.
func (e *Encoder) body(dst []byte, d table.DType, piece, base []byte) ([]byte, Mode, table.DType) {
	if base != nil && bytes.Equal(piece, base) {
		return dst, Same, d
	}
	if e.plan.left == 0 || e.plan.asked != d || e.plan.based != (base != nil) {
		e.plan = e.choose(d, piece, base)
	}
	e.plan.left--
	d = e.plan.dtype
	l := &layouts[d]
	mode := e.plan.mode
	if base != nil && e.plan.patch {
		most := int(patchable * float64(len(piece)/l.width))
		list, few := l.changes(e.list, piece, base, most)
		e.list = list
		if few {
			return e.appendPatch(dst, l, piece, base, list), Patch, d
		}
		e.plan.left = 0 // more changed than was foreseen
	}
	switch mode {
	case Split:
		dst = e.appendPlanes(dst, l, piece, hintSplit)
	case Xor:
		e.xor = exclusiveOr(grow(&e.xor, len(piece)), piece, base)
		dst = e.appendPlanes(dst, l, e.xor, hintXor)
	case Steps:
		dst = e.appendSteps(dst, l, piece, base)
	default:
		return append(dst, piece...), Raw, d
	}
	return dst, mode, d
}

// appendPlanes appends a piece's planes, each coded, and the bytes behind the last whole element.
func (e *Encoder) appendPlanes(dst []byte, l *layout, piece []byte, hints int) []byte {
	planes, rest := l.split(e.planes, grow(&e.split, len(piece)), piece)
	e.planes = planes
	for i, p := range planes {
		dst = e.coder.plane(dst, p, &e.hints[hints+i])
	}
	return append(dst, rest...)
}

func exclusiveOr(dst, a, b []byte) []byte {
	n := len(dst) &^ 7
	x, y, z := dst[:n], a[:n], b[:n]
	for len(x) >= 8 && len(y) >= 8 && len(z) >= 8 {
		binary.LittleEndian.PutUint64(x, binary.LittleEndian.Uint64(y)^binary.LittleEndian.Uint64(z))
		x, y, z = x[8:], y[8:], z[8:]
	}
	for i := n; i < len(dst); i++ {
		dst[i] = a[i] ^ b[i]
	}
	return dst
}

// Decoder decodes frames. The zero value is ready; it holds about 4 MiB and is not safe for concurrent use.
type Decoder struct {
	decoder decoder
	list    []uint32
	numbers [numbersBlock]uint32
	syms    []byte
	split   []byte
	planes  [][]byte
	lens    []int
}

// Frame fills dst, which must be as long as the frame says, from a whole frame, and checks it by its sum. Base is
// read only by modes that need it, and must then be as long as dst; dst and base must not overlap.
func (d *Decoder) Frame(dst, frame, base []byte) error {
	h, err := ParseHeader(frame)
	if err != nil {
		return err
	}
	if len(frame) != HeaderLen+h.Body || len(dst) != h.Raw {
		return corrupt("a frame of %d bytes for %d says that it is %d for %d", len(frame), len(dst), HeaderLen+h.Body, h.Raw)
	}
	if h.Mode.NeedsBase() && len(base) != h.Raw {
		return fmt.Errorf("decode a frame of mode %v: %w: %d bytes of %d", h.Mode, ErrBase, len(base), h.Raw)
	}
	if err := d.body(dst, frame[HeaderLen:], base, h); err != nil {
		return fmt.Errorf("decode a frame of mode %v: %w", h.Mode, err)
	}
	if got := SumOf(dst); got != h.Sum {
		return fmt.Errorf("decode a frame of mode %v: %w: the piece is %v, it should be %v", h.Mode, ErrMismatch, got, h.Sum)
	}
	return nil
}

func (d *Decoder) body(dst, body, base []byte, h Header) error {
	l := &layouts[h.DType]
	switch h.Mode {
	case Raw:
		if len(body) != len(dst) {
			return corrupt("%d raw bytes where %d belong", len(body), len(dst))
		}
		copy(dst, body)
	case Same:
		if len(body) != 0 {
			return corrupt("%d bytes where none belong", len(body))
		}
		copy(dst, base)
	case Split:
		return d.joinPlanes(dst, body, l)
	case Xor:
		if err := d.joinPlanes(dst, body, l); err != nil {
			return err
		}
		exclusiveOr(dst, dst, base)
	case Steps:
		if !l.steps() {
			return corrupt("steps of the type %v", h.DType)
		}
		return d.steps(dst, body, base, l)
	case Patch:
		return d.patch(dst, body, base, l)
	}
	return nil
}

func (d *Decoder) joinPlanes(dst, body []byte, l *layout) (err error) {
	lens, rest := l.planeLens(d.lens, len(dst))
	d.lens = lens
	buf := grow(&d.split, len(dst))
	planes := d.planes[:0]
	for _, n := range lens {
		var p []byte
		if p, body, err = d.decoder.plane(buf, n, body); err != nil {
			return err
		}
		planes, buf = append(planes, p), buf[n:]
	}
	d.planes = planes
	if len(body) != rest {
		return corrupt("%d bytes behind the planes where %d belong", len(body), rest)
	}
	copy(l.join(dst, planes), body)
	return nil
}
