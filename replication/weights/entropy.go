package weights

import (
	"bytes"
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
	planeParts = 4 // planes of partSize bytes and a rest, each coded by itself: what is common changes along the plane
)

const (
	// worthwhile is what a plane must lose to be coded at all: the decoder's time is not for nothing.
	worthwhile = 0.99
	// zstdSample is how much of a plane is tried with zstd, in bytes.
	zstdSample = 32 << 10
	// zstdGain is how much better than huff zstd must be: it is three to ten times slower.
	zstdGain = 0.95
	partSize = 128 << 10
	// varied is how much shorter parts must come out, each with a table of its own.
	varied = 0.985
	// again is after how many planes of one kind a decision is made anew.
	again = 8
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

// planeHead is the length of a plane's header: u8 kind | u24 n. So it can be filled in behind what it counts.
const planeHead = 4

func putPlaneHead(b []byte, kind byte, n int) {
	b[0], b[1], b[2], b[3] = kind, byte(n), byte(n>>8), byte(n>>16)
}

// plane appends p, coded, which must not be longer than MaxPiece.
func (c *coder) plane(dst, p []byte, h *hint) []byte {
	if h.left == 0 || h.kind == planeConst {
		h.kind, h.left = c.choose(p), again
	}
	h.left--
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	kind := h.kind
	switch kind {
	case planeConst:
		dst = append(dst, p[0])
	case planeHuff:
		dst = c.huffPlane(dst, p)
	case planeZstd:
		dst = c.zstdEncoder().EncodeAll(p, dst)
	case planeParts:
		for rest := p; len(rest) > 0; rest = rest[min(partSize, len(rest)):] {
			dst = c.plane(dst, rest[:min(partSize, len(rest))], &hint{})
		}
	}
	if n := len(dst) - start - planeHead; kind == planeRaw || n == 0 || n >= len(p) {
		kind = planeRaw
		dst = append(dst[:start+planeHead], p...)
	}
	putPlaneHead(dst[start:], kind, len(dst)-start-planeHead)
	return dst
}

// huffPlane appends p by package huff, or nothing when that cannot be.
func (c *coder) huffPlane(dst, p []byte) []byte {
	var counts huff.Counts
	if all := counts.Sample(p); !all && counts.Used() > 1 {
		if out, ok := c.huff.Encode(dst, p, &counts); ok {
			return out
		}
		// The sample did not show a symbol that there is.
		counts = huff.Counts{}
		counts.Count(p)
	}
	if counts.Used() < 2 {
		return dst
	}
	out, _ := c.huff.Encode(dst, p, &counts)
	return out
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
	if len(p) <= zstdSample {
		counts.Count(p)
	} else {
		counts.Look(p)
	}
	best, size := byte(planeRaw), worthwhile
	if e := max(entropy(&counts)/8, 1./8); e < size {
		best, size = planeHuff, e
	}
	if parts := partsEntropy(p) / 8; parts < size*varied {
		best, size = planeParts, parts
	}
	if c.level >= Dense && c.zstdShare(p) < size*zstdGain {
		best = planeZstd
	}
	return best
}

// partsEntropy gives the bits of each symbol when parts have tables of their own, 8 when there are no two parts.
func partsEntropy(p []byte) float64 {
	if len(p) < 2*partSize {
		return 8
	}
	sum, n := 0.0, 0
	for rest := p; len(rest) >= partSize; rest = rest[partSize:] {
		var counts huff.Counts
		counts.Look(rest[:partSize])
		sum += max(1, entropy(&counts))
		n++
	}
	return sum / float64(n)
}

// zstdShare tries zstd on the middle of p and gives what is left of it, as a share.
func (c *coder) zstdShare(p []byte) float64 {
	at := max(0, len(p)-zstdSample) / 2
	part := p[at:min(len(p), at+zstdSample)]
	if len(part) == 0 {
		return 1
	}
	c.scratch = c.zstdEncoder().EncodeAll(part, c.scratch[:0])
	return float64(len(c.scratch)) / float64(len(part))
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
			zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(MaxPiece), zstd.WithLowerEncoderMem(true))
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

// plane reads the coded plane of n bytes that src begins with, and gives what is behind it. The plane is in buf, which has
// room for it, or a part of src.
func (d *decoder) plane(buf []byte, n int, src []byte) (plane, rest []byte, err error) {
	if len(src) < planeHead {
		return nil, nil, corrupt("a plane is missing")
	}
	kind, size := src[0], int(src[1])|int(src[2])<<8|int(src[3])<<16
	if src = src[planeHead:]; size > len(src) {
		return nil, nil, corrupt("a plane goes beyond the frame's end")
	}
	body, rest := src[:size:size], src[size:]
	if kind == planeRaw {
		if size != n {
			return nil, nil, corrupt("a plane of %d bytes where %d belong", size, n)
		}
		return body, rest, nil
	}
	plane = buf[:n:n]
	return plane, rest, d.decode(plane, kind, body)
}

// decode fills dst from a plane's body.
func (d *decoder) decode(dst []byte, kind byte, body []byte) (err error) {
	switch kind {
	case planeConst:
		if len(body) != 1 {
			return corrupt("a constant plane of %d bytes", len(body))
		}
		for i := range dst {
			dst[i] = body[0]
		}
	case planeHuff:
		if err := d.huff.Decode(dst, body); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
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
			return fmt.Errorf("%w: %d bytes of zstd where %d belong: %w", ErrCorrupt, len(out), len(dst), orMismatch(err))
		}
	case planeParts:
		if len(dst) < 2*partSize {
			return corrupt("a plane of %d bytes in parts", len(dst))
		}
		for len(dst) > 0 {
			n := min(partSize, len(dst))
			part, rest, err := d.plane(dst, n, body)
			if err != nil {
				return err
			}
			copy(dst, part) // a raw part is still where it was read
			dst, body = dst[n:], rest
		}
		if len(body) != 0 {
			return corrupt("%d bytes behind the parts of a plane", len(body))
		}
	default:
		return corrupt("a plane of the unknown kind %d", kind)
	}
	return nil
}
