package weights

import "github.com/galleon-net/galleon/replication/weights/table"

// arithmetic is how two elements of a type differ.
type arithmetic uint8

const (
	opaque  arithmetic = iota // bits differ: exclusive or
	integer                   // by a number, modulo their width
	float                     // by steps along the order of all values: sign and magnitude
)

// layout is how a type's bytes are split into planes, and what its elements are.
type layout struct {
	// width is an element's bytes, as far as changes are concerned: 1, 2, 4 or 8. Blocks of quantised
	// values are taken as elements of 1 or 2.
	width int
	arith arithmetic
	// rotate moves the sign bit to the low end of the top byte's neighbour, so that the top byte is the exponent whole:
	// BF16 and F32 have eight bits of it.
	rotate bool
	// fields are a block's parts, in bytes; each gets a plane of its own. Nil for plain elements.
	fields []int
}

// Q4_0 and its relations keep their scales in two bytes (F16) ahead of the quants; the K types have several
// fields. Scales of one kind beside each other, and quants beside quants, have statistics of their own.
// What a block is made of is ggml's (ggml-common.h).
var blockFields = map[table.DType][]int{
	table.Q4_0: {2, 16}, table.Q4_1: {2, 2, 16}, table.Q5_0: {2, 4, 16}, table.Q5_1: {2, 2, 4, 16},
	table.Q8_0: {2, 32}, table.Q8_1: {2, 2, 32},
	table.Q2K: {16, 64, 2, 2}, table.Q3K: {32, 64, 12, 2}, table.Q4K: {2, 2, 12, 128},
	table.Q5K: {2, 2, 12, 32, 128}, table.Q6K: {128, 64, 16, 2}, table.Q8K: {4, 256, 32},
	table.IQ4NL: {2, 16}, table.IQ4XS: {2, 2, 4, 128}, table.MXFP4: {1, 16},
}

var layouts = func() (all [256]layout) {
	for i := range all {
		d := table.DType(i)
		if !d.Valid() {
			continue
		}
		l := &all[i]
		*l = layout{width: 1}
		switch d {
		case table.U8, table.I8:
			l.arith = integer
		case table.F8E4M3, table.F8E5M2:
			l.arith = float
		case table.U16, table.I16:
			*l = layout{width: 2, arith: integer}
		case table.F16:
			*l = layout{width: 2, arith: float}
		case table.BF16:
			*l = layout{width: 2, arith: float, rotate: true}
		case table.U32, table.I32:
			*l = layout{width: 4, arith: integer}
		case table.F32:
			*l = layout{width: 4, arith: float, rotate: true}
		case table.U64, table.I64, table.F64:
			*l = layout{width: 8}
		case table.C64:
			*l = layout{width: 4, arith: float, rotate: true}
		default:
			if d.Block() > 1 {
				if l.fields = blockFields[d]; d.Block()%2 == 0 {
					l.width = 2
				}
			}
		}
	}
	return all
}()

// planes is how many planes n bytes of a type are split into.
func (l *layout) planes() int {
	if l.fields != nil {
		return len(l.fields)
	}
	if l.isBlock() {
		return 1
	}
	return l.width
}

// isBlock says whether elements are only a way to look at blocks without known fields.
func (l *layout) isBlock() bool { return l.arith == opaque && l.width < 8 }

// unit is what a piece's size is a multiple of, but for the last piece, in bytes: whole blocks and whole words.
func unit(d table.DType) int {
	if n := int(d.Block()); n%8 != 0 && n > 8 {
		return 8 * n
	}
	return 8
}

// PieceSize is how many bytes of a tensor one frame holds, but for the last of the tensor: as much as fits in a MiB.
func PieceSize(d table.DType) int {
	u := max(unit(d), int(d.Block()))
	return MaxPiece / u * u
}

// pieces is how many pieces a segment has.
func pieces(size int64, d table.DType) int {
	p := int64(PieceSize(d))
	return int((size + p - 1) / p)
}
