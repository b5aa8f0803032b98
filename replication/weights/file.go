package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File codes one file by its recipe, at the source or at the destination. It holds a piece and its base. It is not
// safe for concurrent use; several may share a recipe and divide the places.
type File struct {
	Recipe *Recipe
	// Read reads bases.
	Read ReadBase

	piece, base, frame []byte
}

// Memory is a source whose bytes are all there: its pieces are coded where they lie.
type Memory []byte

// ReadAt is io.ReaderAt.
func (m Memory) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// take gives n bytes at of a source; they are only borrowed.
func (f *File) take(src io.ReaderAt, at int64, n int) ([]byte, error) {
	if m, ok := src.(Memory); ok && at <= int64(len(m)) && int64(n) <= int64(len(m))-at {
		return m[at:][:n:n], nil
	}
	p := grow(&f.piece, n)
	if got, err := src.ReadAt(p, at); got < n {
		return nil, fmt.Errorf("read %d bytes at %d to code them: %w", n, at, err)
	}
	return p, nil
}

// AppendFrame appends the frame of a place. Offset is where the place's segment begins in the source.
func (f *File) AppendFrame(e *Encoder, dst []byte, p Place, src io.ReaderAt, offset int64) ([]byte, error) {
	s := &f.Recipe.Segments[p.Segment]
	at, n := f.Recipe.Extent(p)
	piece, err := f.take(src, offset+at, n)
	if err != nil {
		return dst, err
	}
	base, err := f.baseOf(p, n, at)
	if err != nil {
		return dst, err
	}
	if p.Piece == 0 {
		e.Next()
	}
	return e.AppendFrame(dst, s.DType, piece, base, &s.Pieces[p.Piece]), nil
}

// baseOf reads the base of a place; nil when there is none worth the name.
func (f *File) baseOf(p Place, n int, at int64) ([]byte, error) {
	s := &f.Recipe.Segments[p.Segment]
	if len(s.Spans) == 0 {
		return nil, nil
	}
	base := grow(&f.base, n)
	some, err := s.base(base, at, f.Read)
	if err != nil {
		return nil, fmt.Errorf("read the base of segment %d at %d: %w: %w", p.Segment, at, ErrBase, err)
	}
	if !some {
		return nil, nil
	}
	return base, nil
}

// Piece fills dst, as long as the place's extent, from its frame, and checks it against the recipe.
func (f *File) Piece(d *Decoder, dst []byte, p Place, frame []byte) error {
	s := &f.Recipe.Segments[p.Segment]
	at, n := f.Recipe.Extent(p)
	h, err := ParseHeader(frame)
	if err != nil {
		return fmt.Errorf("piece %d of segment %d: %w", p.Piece, p.Segment, err)
	}
	if h.Sum != s.Pieces[p.Piece] || h.Raw != n {
		return fmt.Errorf("piece %d of segment %d: %w: the frame is of %d bytes named %v, the recipe's of %d named %v",
			p.Piece, p.Segment, ErrMismatch, h.Raw, h.Sum, n, s.Pieces[p.Piece])
	}
	var base []byte
	if h.Mode.NeedsBase() {
		if base, err = f.baseOf(p, n, at); err != nil {
			return err
		}
	}
	if err := d.Frame(dst, frame, base); err != nil {
		return fmt.Errorf("piece %d of segment %d: %w", p.Piece, p.Segment, err)
	}
	return nil
}

// Same gives the bytes of a segment that the destination has, piece by piece, checked by its sum: the last emit
// is made only when it is right.
func (f *File) Same(segment int, emit func(piece []byte) error) error {
	s := &f.Recipe.Segments[segment]
	sums := make([]Sum, 0, pieces(s.Size, s.DType))
	for at := int64(0); at < s.Size; {
		piece := grow(&f.piece, int(min(int64(PieceSize(s.DType)), s.Size-at)))
		if err := f.Read(piece, s.Sum, at); err != nil {
			return fmt.Errorf("read segment %d at %d: %w: %w", segment, at, ErrBase, err)
		}
		sums = append(sums, SumOf(piece))
		at += int64(len(piece))
		if at == s.Size {
			if got := segmentSum(s.Size, s.DType, sums); got != s.Sum {
				return fmt.Errorf("segment %d: %w: it is %v, it should be %v", segment, ErrMismatch, got, s.Sum)
			}
		}
		if err := emit(piece); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes the whole file as one stream: u32 n | recipe of n bytes | frames in order.
func (f *File) Encode(e *Encoder, w io.Writer, src io.ReaderAt) error {
	recipe, err := f.Recipe.AppendBinary(make([]byte, 4))
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(recipe, uint32(len(recipe)-4))
	if _, err := w.Write(recipe); err != nil {
		return err
	}
	segment, offset := 0, int64(0)
	for p := range f.Recipe.Places(Place{}) {
		for ; segment < p.Segment; segment++ {
			offset += f.Recipe.Segments[segment].Size
		}
		if f.frame, err = f.AppendFrame(e, f.frame[:0], p, src, offset); err != nil {
			return err
		}
		if _, err := w.Write(f.frame); err != nil {
			return err
		}
	}
	return nil
}

// Decode reads a stream that Encode wrote and writes the file, in order. What was written before an error is right,
// but for segments that the destination had: of those all but the last piece may be wrong.
func Decode(d *Decoder, w io.Writer, r io.Reader, read ReadBase) (*Recipe, error) {
	var head [HeaderLen]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return nil, short(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > MaxRecipe {
		return nil, corrupt("a recipe of %d bytes", n)
	}
	// Read as it comes, so that a length alone does not take memory.
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil || len(b) < int(n) {
		return nil, short(err)
	}
	recipe, err := ParseRecipe(b)
	if err != nil {
		return nil, err
	}
	f := &File{Recipe: recipe, Read: read}
	write := func(p []byte) error { _, err := w.Write(p); return err }
	for i := range recipe.Segments {
		s := &recipe.Segments[i]
		if s.Same {
			if err := f.Same(i, write); err != nil {
				return recipe, err
			}
		}
		for k := range s.Pieces {
			if _, err := io.ReadFull(r, head[:]); err != nil {
				return recipe, short(err)
			}
			h, err := ParseHeader(head[:])
			if err != nil {
				return recipe, err
			}
			frame := append(grow(&f.frame, HeaderLen+h.Body)[:0], head[:]...)[:HeaderLen+h.Body]
			if _, err := io.ReadFull(r, frame[HeaderLen:]); err != nil {
				return recipe, short(err)
			}
			p := Place{i, k}
			_, n := recipe.Extent(p)
			piece := grow(&f.piece, n)
			if err := f.Piece(d, piece, p, frame); err != nil {
				return recipe, err
			}
			if err := write(piece); err != nil {
				return recipe, err
			}
		}
	}
	return recipe, nil
}

func short(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("the stream ends too early")
	}
	return fmt.Errorf("read coded weights: %w", err)
}
