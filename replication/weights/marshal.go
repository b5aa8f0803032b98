package weights

import (
	"encoding/binary"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// Recipes and indexes, version 1. Numbers are uvarints unless said otherwise.
//
//	recipe    "GWR1" | bytes of the file | its sum | n | n sums of bases | n | n segments
//	segment   bytes | u8 type | u8 1 when the destination has it | its sum |
//	          unless it has: the sums of its pieces | n | n spans
//	span      which base | at | off | bytes of a row | rows | with more than one: stride at, stride off
//
//	index     "GWI1" | bytes of the file | its sum | u8 format | n | n segments
//	segment   bytes | u8 type | bytes of a row | its sum | the sums of its pieces | n | n parts |
//	          n | n bytes of sketch | n | n anchors
//	part      n | n bytes of name | at | bytes
//	anchor    u64 hash | bytes from the one before
const (
	recipeMagic = "GWR1"
	indexMagic  = "GWI1"

	// MaxRecipe and MaxIndex are the longest in bytes. A recipe of a file of 1 TiB has 33 MiB, an index 55 MiB.
	MaxRecipe = 64 << 20
	MaxIndex  = 128 << 20

	maxSegments = 2*table.MaxTensors + 2
	maxBases    = maxSegments
)

// AppendBinary appends the recipe's bytes.
func (r *Recipe) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, recipeMagic...)
	b = appendNumber(b, r.Size)
	b = append(b, r.Sum[:]...)
	bases := r.Bases()
	b = appendNumber(b, int64(len(bases)))
	which := make(map[Sum]int, len(bases))
	for i, s := range bases {
		which[s] = i
		b = append(b, s[:]...)
	}
	b = appendNumber(b, int64(len(r.Segments)))
	for i := range r.Segments {
		s := &r.Segments[i]
		b = append(appendNumber(b, s.Size), byte(s.DType))
		if s.Same {
			b = append(append(b, 1), s.Sum[:]...)
			continue
		}
		b = append(append(b, 0), s.Sum[:]...)
		for k := range s.Pieces {
			b = append(b, s.Pieces[k][:]...)
		}
		b = appendNumber(b, int64(len(s.Spans)))
		for k := range s.Spans {
			n := &s.Spans[k]
			b = appendNumber(appendNumber(appendNumber(b, int64(which[n.Base])), n.At), n.Off)
			b = appendNumber(appendNumber(b, n.Row), n.Rows)
			if n.Rows > 1 {
				b = appendNumber(appendNumber(b, n.AtStride), n.OffStride)
			}
		}
	}
	if len(b) > MaxRecipe {
		return nil, corrupt("a recipe of %d bytes; the most is %d", len(b), MaxRecipe)
	}
	return b, nil
}

// ParseRecipe reads a recipe and checks that it belongs together: sums, sizes and spans.
func ParseRecipe(b []byte) (*Recipe, error) {
	if len(b) > MaxRecipe || len(b) < 4 || string(b[:4]) != recipeMagic {
		return nil, corrupt("no recipe of version 1")
	}
	in := &reader{b: b[4:]}
	r := &Recipe{Size: in.number(table.MaxFile), Sum: in.sum()}
	bases := in.sums(int(in.number(maxBases)))
	n := in.number(maxSegments)
	size := int64(0)
	for ; n > 0 && in.err == nil; n-- {
		s := Plan{Size: in.number(r.Size - size), DType: in.dtype()}
		size += s.Size
		same := in.byte()
		s.Same, s.Sum = same == 1, in.sum()
		switch {
		case same > 1 || s.Size == 0:
			in.fail("a segment of %d bytes and kind %d", s.Size, same)
		case !s.Same:
			s.Pieces = in.sums(pieces(s.Size, s.DType))
			s.Spans = in.spans(s.Size, bases)
			if in.err == nil && segmentSum(s.Size, s.DType, s.Pieces) != s.Sum {
				in.fail("the pieces of segment %d are not those of %v", len(r.Segments), s.Sum)
			}
		}
		r.Segments = append(r.Segments, s)
	}
	if in.err == nil && (size != r.Size || fileSum(r.Size, r.sums()) != r.Sum) {
		in.fail("the segments are not those of %v", r.Sum)
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Recipe) sums() func(yield func(*Sum) bool) {
	return func(yield func(*Sum) bool) {
		for i := range r.Segments {
			if !yield(&r.Segments[i].Sum) {
				return
			}
		}
	}
}

// spans reads the spans of a segment of so many bytes.
func (r *reader) spans(size int64, bases []Sum) []Span {
	n := r.number(spansMost)
	var out []Span
	covered := int64(0)
	for ; n > 0 && r.err == nil; n-- {
		if len(bases) == 0 {
			r.fail("a span without a base")
			return nil
		}
		which := r.number(int64(len(bases)) - 1)
		s := Span{At: r.number(size), Off: r.number(table.MaxFile), Row: r.number(size), Rows: r.number(size)}
		if s.Rows > 1 {
			s.AtStride, s.OffStride = r.number(size), r.number(table.MaxFile)
		}
		// Division, so that nothing overflows.
		if r.err != nil || s.Row == 0 || s.Rows == 0 || s.Row > size-s.At ||
			s.Rows > 1 && (s.Row < minRow || s.AtStride < s.Row || (s.Rows-1) > (size-s.At-s.Row)/s.AtStride ||
				s.OffStride < s.Row || (s.Rows-1) > (table.MaxFile-s.Row)/s.OffStride) {
			r.fail("a span that does not lie in its segment")
			return nil
		}
		if covered += s.Row * s.Rows; covered > 2*size {
			r.fail("spans of more than twice their segment")
			return nil
		}
		s.Base = bases[which]
		out = append(out, s)
	}
	return out
}

// AppendBinary appends the index's bytes.
func (ix *Index) AppendBinary(b []byte) ([]byte, error) {
	b = appendNumber(append(b, indexMagic...), ix.Size)
	b = append(append(b, ix.Sum[:]...), byte(ix.Format))
	b = appendNumber(b, int64(len(ix.Segments)))
	for i := range ix.Segments {
		s := &ix.Segments[i]
		b = append(appendNumber(b, s.Size), byte(s.DType))
		b = append(appendNumber(b, s.Row), s.Sum[:]...)
		for k := range s.Pieces {
			b = append(b, s.Pieces[k][:]...)
		}
		b = appendNumber(b, int64(len(s.Parts)))
		for _, p := range s.Parts {
			b = append(appendNumber(b, int64(len(p.Name))), p.Name...)
			b = appendNumber(appendNumber(b, p.At), p.Size)
		}
		b = append(appendNumber(b, int64(len(s.Sketch))), s.Sketch...)
		b = appendNumber(b, int64(len(s.Anchors)))
		last := int64(0)
		for _, a := range s.Anchors {
			b = appendNumber(binary.LittleEndian.AppendUint64(b, a.Hash), a.At-last)
			last = a.At
		}
	}
	if len(b) > MaxIndex {
		return nil, corrupt("an index of %d bytes; the most is %d", len(b), MaxIndex)
	}
	return b, nil
}

// ParseIndex reads an index and checks its sums. Sketches and anchors can be lies; then bases are poor.
func ParseIndex(b []byte) (*Index, error) {
	if len(b) > MaxIndex || len(b) < 4 || string(b[:4]) != indexMagic {
		return nil, corrupt("no index of version 1")
	}
	in := &reader{b: b[4:]}
	ix := &Index{Size: in.number(table.MaxFile), Sum: in.sum(), Format: table.Format(in.byte())}
	if ix.Format > table.GGUF {
		in.fail("the unknown format %d", ix.Format)
	}
	n := in.number(maxSegments)
	at := int64(0)
	for ; n > 0 && in.err == nil; n-- {
		s := Segment{Offset: at, Size: in.number(ix.Size - at), DType: in.dtype()}
		at += s.Size
		s.Row, s.Sum = in.number(s.Size), in.sum()
		s.Pieces = in.sums(pieces(s.Size, s.DType))
		for k := in.count(3); k > 0 && in.err == nil; k-- {
			p := Part{Name: string(in.take(int(in.number(int64(len(in.b)))))), At: in.number(s.Size)}
			p.Size = in.number(s.Size - p.At)
			s.Parts = append(s.Parts, p)
		}
		s.Sketch = append(s.Sketch, in.take(int(in.number(sketchMost*sketchSpot)))...)
		last := int64(0)
		for k := in.count(9); k > 0 && in.err == nil; k-- {
			hash := in.take(8)
			last += in.number(s.Size - last)
			if in.err == nil {
				s.Anchors = append(s.Anchors, Anchor{Hash: binary.LittleEndian.Uint64(hash), At: last})
			}
		}
		if in.err == nil && (s.Size == 0 || segmentSum(s.Size, s.DType, s.Pieces) != s.Sum) {
			in.fail("the pieces of segment %d are not those of %v", len(ix.Segments), s.Sum)
		}
		ix.Segments = append(ix.Segments, s)
	}
	sums := func(yield func(*Sum) bool) {
		for i := range ix.Segments {
			if !yield(&ix.Segments[i].Sum) {
				return
			}
		}
	}
	if in.err == nil && (at != ix.Size || fileSum(ix.Size, sums) != ix.Sum) {
		in.fail("the segments are not those of %v", ix.Sum)
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	return ix, nil
}
