package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

const (
	// refineBlock is the step in which an end between two spans is looked for, in bytes, and refineFine the one after.
	refineBlock = 4 << 10
	refineFine  = 64
	// refineMost is how far an end is moved: anchors are 256 KiB apart on average, rarely eight times as far.
	refineMost = 2 << 20
)

// Refine moves the ends between neighbouring spans of a recipe to where they should be. Search knows only the first
// and last anchor of each stretch; here the bytes decide, of the file and of both bases. It reads a few hundred KiB for each
// end. A recipe is refined before anything is made by it, or not at all.
func (r *Recipe) Refine(src io.ReaderAt, read ReadBase) error {
	offset := int64(0)
	buf := make([]byte, 3*refineBlock)
	for i := range r.Segments {
		s := &r.Segments[i]
		for k := 1; k < len(s.Spans); k++ {
			a, b := &s.Spans[k-1], &s.Spans[k]
			if a.Rows != 1 || b.Rows != 1 || a.end() > b.At {
				continue
			}
			least := max(a.At+1, b.At-b.Off, b.At-refineMost)
			to := b.At
			for _, step := range []int64{refineBlock, refineFine} {
				for to-step >= least {
					nearer, err := s.nearer(buf, a, b, to-step, step, offset, src, read)
					if err != nil {
						return fmt.Errorf("refine segment %d: %w", i, err)
					}
					if !nearer {
						break
					}
					to -= step
				}
			}
			move := b.At - to
			b.At, b.Off, b.Row = to, b.Off-move, b.Row+move
			a.Row = min(a.Row, to-a.At)
		}
		offset += s.Size
	}
	return nil
}

// nearer says whether n bytes at of a segment are nearer to b's base than to a's.
func (s *Plan) nearer(buf []byte, a, b *Span, at, n, offset int64, src io.ReaderAt, read ReadBase) (bool, error) {
	piece, ofA, ofB := buf[:n], buf[refineBlock:][:n], buf[2*refineBlock:][:n]
	if got, err := src.ReadAt(piece, offset+at); got < len(piece) {
		return false, err
	}
	if err := read(ofB, b.Base, b.Off-(b.At-at)); err != nil {
		return false, fmt.Errorf("%w: %w", ErrBase, err)
	}
	clear(ofA)
	if inA := min(n, a.end()-at); inA > 0 {
		if err := read(ofA[:inA], a.Base, a.Off+at-a.At); err != nil {
			return false, fmt.Errorf("%w: %w", ErrBase, err)
		}
	}
	return differing(piece, ofB) < differing(piece, ofA), nil
}

// differing counts the bits in which two stretches differ; the length is a multiple of eight.
func differing(a, b []byte) (n int) {
	for ; len(a) >= 8 && len(b) >= 8; a, b = a[8:], b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b))
	}
	return n
}
