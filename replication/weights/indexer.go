package weights

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// Indexer makes the index of a file as it arrives. It holds the header, at most table.MaxHeader bytes and only
// until it is complete, and one piece. It is not safe for concurrent use.
type Indexer struct {
	ix     Index
	head   []byte // what came until there was a table; nil from then on
	want   int    // how much of a header is needed to get further
	came   int64
	at     int   // segment
	in     int64 // bytes of it that were handled
	piece  []byte
	reason error // why there is no table
}

// NewIndexer gives an indexer for a file of size bytes.
func NewIndexer(size int64) *Indexer {
	x := &Indexer{ix: Index{Size: size}}
	x.table()
	return x
}

// Reason says why the file is only bytes; nil when it has a table, or before that is known.
func (x *Indexer) Reason() error { return x.reason }

// table tries to read the table from what is there.
func (x *Indexer) table() {
	t, want, err := table.Read(x.head, x.ix.Size)
	switch {
	case want > 0:
		x.want = want
		x.head = append(make([]byte, 0, want), x.head...)
		return
	case err != nil:
		x.reason = err
	default:
		x.ix.Format = t.Format
	}
	x.ix.Segments = segmentsOf(t, x.ix.Size)
	head := x.head
	x.want, x.head = 0, nil
	_ = x.take(head)
}

// Write takes more of the file. It fails when that is more than was announced.
func (x *Indexer) Write(p []byte) (int, error) {
	if int64(len(p)) > x.ix.Size-x.came {
		return 0, fmt.Errorf("index a file of %d bytes: %d more came than that", x.ix.Size, int64(len(p))-(x.ix.Size-x.came))
	}
	x.came += int64(len(p))
	n := len(p)
	for x.want > 0 && len(p) > 0 {
		k := min(len(p), x.want-len(x.head))
		x.head = append(x.head, p[:k]...)
		p = p[k:]
		if len(x.head) == x.want {
			x.table()
		}
	}
	return n, x.take(p)
}

// take handles bytes of segments.
func (x *Indexer) take(p []byte) error {
	for len(p) > 0 {
		if x.at == len(x.ix.Segments) {
			return errors.New("index a file: more bytes than segments")
		}
		s := &x.ix.Segments[x.at]
		need := int(min(int64(PieceSize(s.DType)), s.Size-x.in))
		if len(x.piece) == 0 && len(p) >= need {
			x.handle(s, p[:need])
			p = p[need:]
			continue
		}
		k := min(need-len(x.piece), len(p))
		if x.piece == nil {
			x.piece = make([]byte, 0, MaxPiece)
		}
		x.piece = append(x.piece, p[:k]...)
		p = p[k:]
		if len(x.piece) == need {
			x.handle(s, x.piece)
			x.piece = x.piece[:0]
		}
	}
	return nil
}

// handle takes a whole piece of a segment.
func (x *Indexer) handle(s *Segment, piece []byte) {
	if x.in == 0 {
		s.Pieces = make([]Sum, 0, pieces(s.Size, s.DType))
	}
	s.Pieces = append(s.Pieces, SumOf(piece))
	s.sketch(piece, x.in)
	s.Anchors = anchors(s.Anchors, piece, x.in, s.DType)
	x.in += int64(len(piece))
	if x.in == s.Size {
		s.Sum = segmentSum(s.Size, s.DType, s.Pieces)
		x.at, x.in = x.at+1, 0
	}
}

// sketch copies what of the sketch is in a piece that begins at.
func (s *Segment) sketch(piece []byte, at int64) {
	for i := range spots(s.Size) {
		from := spot(s.Size, i)
		to := min(from+sketchSpot, s.Size)
		if a, b := max(from, at), min(to, at+int64(len(piece))); a < b {
			s.Sketch = append(s.Sketch, piece[a-at:b-at]...)
		}
	}
}

// anchorMix is an odd constant with bits everywhere. What it is is part of an index's format.
const anchorMix = 0x9e3779b97f4a7c15

// anchors appends the anchors of a piece that begins at. Tensors are cut and moved by whole rows, which are whole words, so
// that one word in each eight bytes is looked at; in other bytes a word may begin anywhere.
func anchors(list []Anchor, piece []byte, at int64, d table.DType) []Anchor {
	step, shift := 8, uint(64-anchorBits)
	if d == table.Bytes {
		step, shift = 1, shift-3
	}
	found := 0
	last := uint64(0)
	for i := nextAnchor(piece, 0, step, shift); i >= 0 && found < anchorsMost; i = nextAnchor(piece, i+step, step, shift) {
		w := binary.LittleEndian.Uint64(piece[i:])
		if w == last {
			continue // runs of equal words say nothing about where they are
		}
		last = w
		h := w * anchorMix
		for k := 8; k < anchorWindow; k += 8 {
			h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(piece[i+k:])) * anchorMix
		}
		list = append(list, Anchor{Hash: h ^ h>>32, At: at + int64(i)})
		found++
	}
	return list
}

// nextAnchor gives where the next anchor is from i on, -1 when there is none.
func nextAnchor(p []byte, i, step int, shift uint) int {
	end := len(p) - anchorWindow
	if step == 1 {
		for ; i <= end; i++ {
			if (binary.LittleEndian.Uint64(p[i:i+8])^anchorMix)*anchorMix>>(shift&63) == 0 {
				return i
			}
		}
		return -1
	}
	for ; i <= end; i += 8 {
		if (binary.LittleEndian.Uint64(p[i:i+8])^anchorMix)*anchorMix>>(shift&63) == 0 {
			return i
		}
	}
	return -1
}

// Finish gives the index when the whole file was written.
func (x *Indexer) Finish() (*Index, error) {
	if x.came != x.ix.Size {
		return nil, fmt.Errorf("index a file of %d bytes: only %d came", x.ix.Size, x.came)
	}
	x.ix.Sum = fileSum(x.ix.Size, func(yield func(*Sum) bool) {
		for i := range x.ix.Segments {
			if !yield(&x.ix.Segments[i].Sum) {
				return
			}
		}
	})
	return &x.ix, nil
}

func fileSum(size int64, list func(yield func(*Sum) bool)) Sum {
	return sumOfList(&fileKey, size, 0, list)
}
