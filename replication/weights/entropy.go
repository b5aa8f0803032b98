package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/galleon-net/galleon/replication/weights/huff"
)

// How a plane is coded; the numbers are in frames.
const (
	planeRaw   = 0
	planeConst = 1 // one byte, which all of them are
	planeHuff  = 2
	planeZstd  = 3
)

const (
	// worthwhile is what a plane must lose to be coded at all: the decoder's time is not for nothing.
	worthwhile = 0.99
	// zstdSample is how much of a plane is tried with zstd, in bytes.
	zstdSample = 32 << 10
	// zstdGain is how much better than huff zstd must be: it is three to ten times slower.
	zstdGain = 0.95
	// again is after how many planes of one kind a decision is made anew.
	again = 16
)

// hint remembers what the last planes of one kind came out as, so that planes that do not shrink cost nothing.
type hint struct {
	kind byte
	left int // planes for which it holds
}

// coder codes planes. It is not safe for concurrent use.
type coder struct {
	level   Level
	huff    huff.Encoder
	zstd    *zstd.Encoder // nil until needed
	scratch []byte
}

// plane appends p, coded:
//
//	u8 kind | uvarint n | n bytes
func (c *coder) plane(dst, p []byte, h *hint) []byte {
	if h.left == 0 || h.kind == planeConst {
		h.kind, h.left = c.choose(p), again
	}
	h.left--
	switch h.kind {
	case planeConst:
		return append(dst, planeConst, 1, p[0])
	case planeHuff:
		if out, ok := c.huffPlane(dst, p); ok {
			return out
		}
	case planeZstd:
		c.scratch = c.zstdEncoder().EncodeAll(p, c.scratch[:0])
		if len(c.scratch) < len(p) {
			dst = binary.AppendUvarint(append(dst, planeZstd), uint64(len(c.scratch)))
			return append(dst, c.scratch...)
		}
	}
	dst = binary.AppendUvarint(append(dst, planeRaw), uint64(len(p)))
	return append(dst, p...)
}

func (c *coder) huffPlane(dst, p []byte) ([]byte, bool) {
	var counts huff.Counts
	all := counts.Sample(p)
	for {
		if counts.Used() < 2 {
			if all {
				return dst, false
			}
		} else if out, ok := c.huff.Encode(c.scratch[:0], p, &counts); ok {
			c.scratch = out
			if len(out) >= len(p) {
				return dst, false
			}
			dst = binary.AppendUvarint(append(dst, planeHuff), uint64(len(out)))
			return append(dst, out...), true
		}
		// The sample did not show a symbol that there is.
		all, counts = true, huff.Counts{}
		counts.Count(p)
	}
}

// choose decides by a sample how a plane is coded.
func (c *coder) choose(p []byte) byte {
	if len(p) < 16 {
		return planeRaw
	}
	if constant(p) {
		return planeConst
	}
	var counts huff.Counts
	counts.Sample(p)
	best, size := byte(planeRaw), worthwhile
	if e := max(entropy(&counts)/8, 1./8); e < size && counts.Used() > 1 {
		best, size = planeHuff, e
	}
	if c.level >= Dense {
		at := max(0, len(p)-zstdSample) / 2
		part := p[at:min(len(p), at+zstdSample)]
		c.scratch = c.zstdEncoder().EncodeAll(part, c.scratch[:0])
		if z := float64(len(c.scratch)) / float64(len(part)); z < size*zstdGain {
			best = planeZstd
		}
	}
	return best
}

func constant(p []byte) bool {
	// A slice whose bytes all equal their predecessors is constant, and the comparison is the library's fastest.
	return len(p) > 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

// entropy gives the bits of each symbol if they come independently.
func entropy(c *huff.Counts) float64 {
	total, sum := 0.0, 0.0
	for _, n := range c {
		if n != 0 {
			f := float64(n)
			total += f
			sum += f * math.Log2(f)
		}
	}
	if total == 0 {
		return 0
	}
	return math.Log2(total) - sum/total
}

func (c *coder) zstdEncoder() *zstd.Encoder {
	if c.zstd == nil {
		level := zstd.SpeedFastest
		if c.level >= Densest {
			level = zstd.SpeedBetterCompression
		}
		var err error
		c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(MaxPiece), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
	}
	return c.zstd
}

// decoder decodes planes. It is not safe for concurrent use.
type decoder struct {
	huff huff.Decoder
	zstd *zstd.Decoder // nil until needed
}

// plane fills dst from the coded plane that src begins with and gives what is behind it.
func (d *decoder) plane(dst, src []byte) (rest []byte, err error) {
	if len(src) < 2 {
		return nil, corrupt("a plane is missing")
	}
	kind := src[0]
	size, n := binary.Uvarint(src[1:])
	if n <= 0 || size > uint64(len(src)-1-n) {
		return nil, corrupt("a plane goes beyond the frame's end")
	}
	body, rest := src[1+n:1+n+int(size)], src[1+n+int(size):]
	switch kind {
	case planeRaw:
		if len(body) != len(dst) {
			return nil, corrupt("a plane of %d bytes where %d belong", len(body), len(dst))
		}
		copy(dst, body)
	case planeConst:
		if len(body) != 1 {
			return nil, corrupt("a constant plane of %d bytes", len(body))
		}
		for i := range dst {
			dst[i] = body[0]
		}
	case planeHuff:
		if err := d.huff.Decode(dst, body); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	case planeZstd:
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
				zstd.WithDecoderMaxMemory(4*MaxPiece), zstd.WithDecoderMaxWindow(MaxPiece))
			if err != nil {
				panic(err)
			}
		}
		out, err := d.zstd.DecodeAll(body, dst[:0:len(dst)])
		if err != nil || len(out) != len(dst) {
			return nil, fmt.Errorf("%w: %d bytes of zstd where %d belong: %w", ErrCorrupt, len(out), len(dst), orMismatch(err))
		}
	default:
		return nil, corrupt("a plane of the unknown kind %d", kind)
	}
	return rest, nil
}
