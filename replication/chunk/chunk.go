// Package chunk cuts bytes into content-defined chunks and names them. It is pure.
//
// Where a chunk ends depends on the 64 bytes before that point and on nothing else, so that bytes
// inserted into a file change the chunks around them and leave the rest as they were: what two versions,
// two files or two regions have in common is stored and sent once.
//
//	hash    Gear (Xia et al., "Ddelta", 2014): h = h<<1 + table[byte], 64 bits, h = 0 at a chunk's start
//	table   256 words, little endian, from the extendable output of BLAKE3 over tableSeed
//	cut     after the first byte from Min on where the hash has its upper 18 bits zero, from Target on
//	        its upper 14 bits; after Max bytes in any case ("normalised" chunking: Xia et al.,
//	        "FastCDC", 2016: sizes gather round Target, so that few cuts are forced by Max)
//	sizes   Min 8 KiB, Target 64 KiB, Max 128 KiB; the last chunk of a stream may be shorter than Min
//	name    BLAKE3 of the chunk's bytes, keyed with the tenant's key
//
// All of this is version 1 and never changes: another table or another size is another version, kept
// beside this one, because chunks that are cut anew share nothing with those that are stored. Golden
// vectors in testdata hold it.
package chunk

import (
	"encoding/binary"
	"hash"

	"lukechampine.com/blake3"

	"github.com/galleon-net/galleon/replication/object"
)

// Sizes of chunks in bytes.
const (
	Min    = 8 << 10
	Target = 64 << 10
	Max    = 128 << 10
)

const (
	tableSeed = "galleon chunk gear table v1"
	// The upper bits are tested because they depend on the whole 64-byte window; bit n of the hash
	// depends on the last n+1 bytes alone.
	strictShift = 64 - 18
	looseShift  = 64 - 14
)

// table is the one pinned Gear table.
var table = makeTable()

func makeTable() (t [256]uint64) {
	h := blake3.New(8*len(t), nil)
	_, _ = h.Write([]byte(tableSeed)) // a hash never fails to write
	sum := h.Sum(nil)
	for i := range t {
		t[i] = binary.LittleEndian.Uint64(sum[8*i:])
	}
	return t
}

// Cut gives the length of the first chunk of data, at most Max. Data that is not the end of its stream
// must hold at least Max bytes, else the cut would depend on how the stream was read.
func Cut(data []byte) int {
	if len(data) <= Min {
		return len(data)
	}
	data = data[:min(len(data), Max)]
	target := min(len(data), Target)
	var h uint64
	// The hash starts 64 bytes ahead of the first place where a cut may fall: what lies before has no
	// influence on it there, and skipping it makes chunking a sixth faster.
	for _, b := range data[Min-64 : Min] {
		h = h<<1 + table[b]
	}
	for i, b := range data[Min:target] {
		h = h<<1 + table[b]
		if h>>strictShift == 0 {
			return Min + i + 1
		}
	}
	for i, b := range data[target:] {
		h = h<<1 + table[b]
		if h>>looseShift == 0 {
			return target + i + 1
		}
	}
	return len(data)
}

// Hash names a chunk for a tenant.
func Hash(tenantKey *[32]byte, data []byte) object.ChunkID {
	h := blake3.New(32, tenantKey[:])
	_, _ = h.Write(data)
	var id object.ChunkID
	h.Sum(id[:0])
	return id
}

// Sum is the plain BLAKE3 that proves a whole object.
func Sum(data []byte) [32]byte { return blake3.Sum256(data) }

// NewSum is Sum for bytes that come in pieces.
func NewSum() hash.Hash { return blake3.New(32, nil) }
