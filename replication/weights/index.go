package weights

import (
	"encoding/binary"

	"lukechampine.com/blake3"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// Index is what is known of a file's content: enough to find what two files have in common without looking
// into either. It is 0.01 % of the file.
type Index struct {
	Size     int64 // bytes
	Sum      Sum
	Format   table.Format // 0 when the file is bytes
	Segments []Segment    // in order; together they are the file
}

// Segment is a stretch of a file that is coded as one: a tensor, several small ones that lie beside each other,
// or what is no tensor.
type Segment struct {
	Offset, Size int64 // bytes, in the file
	DType        table.DType
	// Row is the bytes of a tensor's innermost dimension, 0 where nothing is known of rows.
	Row   int64
	Sum   Sum
	Parts []Part // the tensors in it
	// Pieces are the sums of its pieces of PieceSize bytes.
	Pieces []Sum
	// Sketch is a sample of its bytes, from the same places in every segment of this size.
	Sketch []byte
	// Anchors are places that content alone decides on, so that the same stretch of values has them wherever
	// it lies.
	Anchors []Anchor
}

// Part is a tensor in a segment.
type Part struct {
	Name     string
	At, Size int64 // bytes, from the segment's beginning
}

// Anchor is a place in a segment and a hash of what is there.
type Anchor struct {
	Hash uint64
	At   int64 // bytes, from the segment's beginning
}

const (
	// small is a tensor that shares a segment with its neighbours if they are small too: a segment costs about
	// 90 bytes in a recipe and a frame, and with two segments in 256 KiB that stays under 0.1 %.
	small = 256 << 10

	// A sketch has one spot in sketchEvery bytes, from sketchLeast to sketchMost.
	sketchSpot  = 64
	sketchEvery = 128 << 10
	sketchLeast = 4
	sketchMost  = 16

	// An anchor is a word of eight bytes whose hash has its upper anchorBits zero: one in 256 KiB.
	anchorBits   = 15
	anchorWindow = 32 // bytes that its own hash is of
	anchorsMost  = 16 // of a piece, in case its words are far from random
)

// Keys that set sums of lists apart from sums of bytes, and both kinds of lists from each other.
var segmentKey, fileKey = func() (s, f [32]byte) {
	blake3.DeriveKey(s[:], "galleon weights segment v1", nil)
	blake3.DeriveKey(f[:], "galleon weights file v1", nil)
	return s, f
}()

func sumOfList(key *[32]byte, size, step int64, list func(yield func(*Sum) bool)) (sum Sum) {
	h := blake3.New(32, key[:])
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(size))
	binary.LittleEndian.PutUint64(head[8:], uint64(step))
	_, _ = h.Write(head[:]) // a hash never fails to write
	for s := range list {
		_, _ = h.Write(s[:])
	}
	h.Sum(sum[:0])
	return sum
}

// segmentSum names a segment: its size, how it is cut, and its pieces.
func segmentSum(size int64, d table.DType, pieces []Sum) Sum {
	return sumOfList(&segmentKey, size, int64(PieceSize(d)), func(yield func(*Sum) bool) {
		for i := range pieces {
			if !yield(&pieces[i]) {
				return
			}
		}
	})
}

// segmentsOf cuts a file into segments by its table, or into one when t is nil.
func segmentsOf(t *table.Table, size int64) (out []Segment) {
	if t == nil {
		if size == 0 {
			return nil
		}
		return []Segment{{Size: size}}
	}
	// open says that the last segment is small and takes more.
	open := false
	add := func(s Segment) {
		if s.Size == 0 {
			return
		}
		if n := len(out); open && s.Size < small && n > 0 {
			last := &out[n-1]
			if last.DType != s.DType {
				last.DType = table.Bytes
			}
			for _, p := range s.Parts {
				p.At += last.Size
				last.Parts = append(last.Parts, p)
			}
			last.Row = 0
			last.Size += s.Size
			return
		}
		out = append(out, s)
		open = s.Size < small
	}
	add(Segment{Size: t.Data})
	for i := range t.Tensors {
		n := &t.Tensors[i]
		// Padding belongs to the tensor ahead of it.
		end := t.Size
		if i+1 < len(t.Tensors) {
			end = t.Tensors[i+1].Offset
		}
		row := n.Columns(t.Format)
		if row%n.DType.Elements() == 0 {
			row = row / n.DType.Elements() * n.DType.Block()
		} else {
			row = 0
		}
		if i == 0 {
			add(Segment{Offset: t.Data, Size: n.Offset - t.Data})
		}
		add(Segment{Offset: n.Offset, Size: end - n.Offset, DType: n.DType, Row: row, Parts: []Part{{Name: n.Name, Size: n.Size}}})
	}
	if len(t.Tensors) == 0 {
		add(Segment{Offset: t.Data, Size: t.Size - t.Data})
	}
	return out
}

// spots is how many spots the sketch of a segment has.
func spots(size int64) int64 {
	return min(max(size/sketchEvery, sketchLeast), sketchMost)
}

// spot gives where spot i begins; it ends sketchSpot bytes further or at the end.
func spot(size, i int64) int64 { return size / spots(size) * i &^ 7 }
