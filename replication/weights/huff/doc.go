// Package huff is a Huffman coder for long planes of bytes of which few values are common, as the exponents
// of weights are: about 2.6 bits each. It is pure, and all of its memory is fixed.
//
// It differs from huff0 (RFC 8878, section 4.2; klauspost/compress has it in Go) in three things, each for
// speed at such planes. One table serves a whole plane, not a block of 128 KiB. Codes are read from the low
// end of a word on, forwards, so that the encoder can join two symbols by one look-up in a table of pairs. And
// the decoder's table gives as many symbols as are whole in its MaxBits bits, three or four here, by one
// look-up and one store. DESIGN.md of the house has what that gains.
//
// # A coded plane
//
// How many symbols there are is known from elsewhere. Numbers are little endian, bits are taken from the low
// end of each byte.
//
//	table     the lengths of the codes of symbols 0 to 255, in nibbles, low nibble first:
//	            0 to 12   a length; 0 is a symbol that does not occur
//	            13 a      2 + a symbols that do not occur
//	            14 a b    18 + a + 16*b symbols that do not occur
//	            15 a      the length before once more, 3 + a times
//	          ends with symbol 255; a last half byte is zero. At least two symbols occur, and the code is
//	          complete: the sum of 2^-length is 1
//	sizes     3 * 3 bytes: how long the first three streams are
//	streams   4: symbol i is in stream i / ceil(n/4). Each is its codes one behind the other, the lowest
//	          bit of a code first, and at its end zero bits to the next byte
//
// A code is canonical: symbols in the order (length, value) have codes that count upwards, the first 0, and
// the bits of each are then reversed (RFC 1951, section 3.2.2, has the same construction).
package huff

import "errors"

const (
	// MaxBits is the longest code. It bounds the decoder's table to 2^12 words, which the first-level cache holds.
	MaxBits = 12
	// MaxPlane is the most symbols of a plane: what three bytes of size allow at 12 bits and four streams,
	// rounded down to a power of two.
	MaxPlane = 1 << 23

	streams  = 4
	sizeLen  = 3 * (streams - 1)
	maxTable = 128 + 2 // nibbles of 256 lengths; runs only ever shorten it
	slack    = 8       // the encoder stores words of eight bytes
)

// ErrCorrupt says that a plane is not what an encoder wrote.
var ErrCorrupt = errors.New("coded plane is corrupt")
