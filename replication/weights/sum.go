package weights

import (
	"encoding/hex"
	"math/bits"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"
)

// Sum is a BLAKE3.
type Sum [32]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// stretch is what the library hashes at once.
const stretch = guts.MaxSIMD * guts.ChunkSize

// SumOf names a piece: it is its plain BLAKE3.
//
// The library's own function starts a goroutine for every 16 KiB, and each then grows its stack: on one core that takes a
// quarter of the time. Its parts are joined here one after the other; whole pieces are hashed by as many cores as pieces are coded by.
func SumOf(p []byte) Sum {
	if len(p) <= stretch {
		return blake3.Sum256(p)
	}
	// Subtrees wait on the stack for a right-hand neighbour of their size. The last stretch waits for the end: it may be the
	// root's child at any height.
	var waiting [32][8]uint32
	depth, counter := 0, uint64(0)
	for ; len(p) > stretch; p = p[stretch:] {
		cv := guts.ChainingValue(guts.CompressBuffer((*[stretch]byte)(p), stretch, &guts.IV, counter, 0))
		counter += guts.MaxSIMD
		for range bits.TrailingZeros64(counter / guts.MaxSIMD) {
			depth--
			cv = guts.ChainingValue(guts.ParentNode(waiting[depth], cv, &guts.IV, 0))
		}
		waiting[depth] = cv
		depth++
	}
	var last guts.Node
	switch {
	case len(p) == stretch:
		last = guts.CompressBuffer((*[stretch]byte)(p), stretch, &guts.IV, counter, 0)
	case len(p) <= guts.ChunkSize:
		last = guts.CompressChunk(p, &guts.IV, counter, 0)
	default:
		var padded [stretch]byte
		last = guts.CompressBuffer(&padded, copy(padded[:], p), &guts.IV, counter, 0)
	}
	for depth > 0 {
		depth--
		last = guts.ParentNode(waiting[depth], guts.ChainingValue(last), &guts.IV, 0)
	}
	last.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(last))
	return Sum(out[:32])
}
