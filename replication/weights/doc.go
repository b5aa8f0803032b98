// Package weights codes model weights for the wire: tensor by tensor, against what the other end has. It is
// pure. Whoever calls it reads and writes; whatever goes wrong, the raw bytes can be sent instead.
//
// # What happens to a file
//
//	Indexer   as a file arrives: its tensors (package table), and a name for every piece of them
//	Search    an index of the file, and those of files that the destination has: where a base for each
//	          tensor lies, whatever it is called there and however it was cut
//	Encoder   a piece and its base in, a frame out, which stands by itself
//	Decoder   the frame and the same base in, the piece out, checked by its name
//
// A piece is at most a MiB of one tensor: memory does not depend on how large tensors are, frames can be made, sent,
// repeated and decoded in any order and by any number of workers. Names are BLAKE3 sums:
//
//	piece     of its bytes
//	segment   of its pieces' names, in order, under a key of its own; a segment is a tensor, or what lies between
//	file      of its segments' names, under another
//
// A base is meant by its segment's name, so a destination either has it exactly or not at all, and a chain of
// deltas cannot drift.
//
// # A frame (version 1)
//
// Numbers are little endian; a uvarint is seven bits a byte, lowest first.
//
//	0     version<<4 | mode
//	1     type of the elements (package table has the numbers)
//	2     u32 bytes of the piece, at most 1 MiB
//	6     u32 bytes of the body, at most as many
//	10    32 bytes of BLAKE3 of the piece
//	42    body
//
//	mode      body
//	0 raw     the piece
//	1 same    nothing: the piece is the base
//	2 split   planes, from the lowest byte of the elements up or field by field; the bytes that are left
//	3 xor     the same of the exclusive or with the base
//	4 steps   a plane of symbols | uvarint n | n bytes of open bits | the bytes that are left
//	5 patch   uvarint changes | numbers of gaps | numbers of changes | the bytes that are left
//
//	plane     u8 kind | u24 n | n bytes
//	          kind 0 as it is, 1 one byte that all are, 2 Huffman (package huff), 3 a zstd frame,
//	          4 planes of 128 KiB and a rest
//	numbers   as in steps: a plane of symbols | uvarint n | n bytes of open bits (see numbers.go)
//
// BF16 and F32 elements are turned before they are split so that the exponent is a byte of its own; blocks of
// quantised values are split into their fields, so that scales are beside scales. What is
// left are the bytes at a piece's end that do not make an element or block.
//
// The encoder decides by sampling which mode a tensor gets, and tries again every few pieces. What comes out longer
// than the piece is sent raw.
package weights
