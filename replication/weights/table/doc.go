// Package table reads which tensors lie where in a file of weights: safetensors, GGUF, and the index of a
// safetensors file that was cut into shards. It is pure, and suspicious: files come from anybody who may
// write to a bucket, and what is read here decides how bytes are cut and coded.
//
// A table that is accepted describes every byte of the file once: the header, tensors in order without
// overlap, and padding where the format has it. Anything else, be it malformed, ambiguous or merely unknown, is
// an error that is ErrNone, and the caller treats the file as bytes. Nothing is lost by that but density.
//
// A file is read as it arrives: Read takes what there is of its beginning and its whole size, and asks for
// more until the header is complete.
//
//	safetensors    u64 n | n bytes of JSON, at most MaxHeader | tensors without holes
//	               JSON: {"name": {"dtype": "BF16", "shape": [2,3], "data_offsets": [0,12]}, ...}
//	GGUF 2 and 3   "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | infos | padding | tensors
//	               each tensor begins at a multiple of general.alignment, 32 if nothing is said
//
// Sources: the safetensors format as its reference parser has it (github.com/huggingface/safetensors), with
// duplicate names and holes refused as there; GGUF by its specification (ggml, docs/gguf.md). Big-endian GGUF
// is bytes.
package table

import (
	"errors"
	"fmt"
	"slices"
)

// Bounds of what is read; what goes beyond them is bytes.
const (
	MaxHeader  = 100_000_000 // bytes: the reference parser's own limit
	MaxTensors = 1 << 18     // of a file
	MaxNames   = 16 << 20    // bytes of all names together
	MaxDims    = 8           // dimensions of a tensor
	MaxFile    = 1 << 50     // bytes of a file, so that sums of sizes do not overflow
	maxKey     = 64 << 10    // bytes of a string where one name is meant
	maxDepth   = 16          // arrays in arrays, objects in objects
)

// ErrNone says that a file has no table that can be used. The error it is wrapped in says why.
var ErrNone = errors.New("no table of tensors")

// Format is a kind of file.
type Format uint8

// The formats.
const (
	Safetensors Format = iota + 1
	GGUF
)

func (f Format) String() string {
	switch f {
	case Safetensors:
		return "safetensors"
	case GGUF:
		return "gguf"
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// Tensor is one tensor of a file.
type Tensor struct {
	Name  string
	DType DType
	// Shape is in the file's own order: outermost first in safetensors, innermost first in GGUF.
	Shape []int64
	// Offset from the file's beginning and Size are in bytes.
	Offset, Size int64
}

// Columns is how many elements of a tensor lie one behind the other in its innermost dimension.
func (t *Tensor) Columns(f Format) int64 {
	switch {
	case len(t.Shape) == 0:
		return 1
	case f == GGUF:
		return t.Shape[0]
	}
	return t.Shape[len(t.Shape)-1]
}

// Table is all tensors of a file, by offset. What no tensor covers is the header and padding.
type Table struct {
	Format  Format
	Size    int64 // of the file, in bytes
	Data    int64 // where the header ends, in bytes
	Tensors []Tensor
}

// Read reads the table of a file of so many bytes from its beginning. When prefix is not enough it gives
// how many bytes of the file it wants instead, always more than it was given and at most a header more than
// MaxHeader can be.
func Read(prefix []byte, size int64) (t *Table, want int, err error) {
	if size > MaxFile {
		return nil, 0, none("%d bytes are more than %d", size, int64(MaxFile))
	}
	if int64(len(prefix)) > size {
		prefix = prefix[:size]
	}
	if len(prefix) < 9 {
		if size < 9 {
			return nil, 0, none("a file of %d bytes", size)
		}
		return nil, 9, nil
	}
	if string(prefix[:4]) == "GGUF" {
		return readGGUF(prefix, size)
	}
	return readSafetensors(prefix, size)
}

func none(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNone, fmt.Sprintf(format, args...))
}

// place sorts tensors and checks that they follow each other: no overlap, and less than align bytes between
// one and the next, the last and the end.
func (t *Table) place(align int64) error {
	slices.SortStableFunc(t.Tensors, func(a, b Tensor) int {
		if a.Offset != b.Offset {
			return int(max(-1, min(1, a.Offset-b.Offset)))
		}
		return int(max(-1, min(1, a.Size-b.Size))) // empty ones first
	})
	end := t.Data
	for i := range t.Tensors {
		n := &t.Tensors[i]
		if n.Offset < end {
			return none("tensor %q begins at %d, before the one ahead of it ends at %d", n.Name, n.Offset, end)
		}
		if n.Offset-end >= align {
			return none("%d bytes before tensor %q belong to nothing", n.Offset-end, n.Name)
		}
		if n.Size > t.Size-n.Offset {
			return none("tensor %q ends at %d, behind the file's end at %d", n.Name, n.Offset+n.Size, t.Size)
		}
		end = n.Offset + n.Size
	}
	if t.Size-end >= align {
		return none("%d bytes at the end belong to nothing", t.Size-end)
	}
	return nil
}

// sizeOf gives a tensor's bytes, from a shape of which every dimension is at least 0.
func sizeOf(d DType, shape []int64) (int64, error) {
	if len(shape) > MaxDims {
		return 0, none("%d dimensions", len(shape))
	}
	n := int64(1)
	for _, s := range shape {
		if s < 0 || s > MaxFile {
			return 0, none("a dimension of %d", s)
		}
		if s != 0 && n > MaxFile/s {
			return 0, none("a shape of more than %d elements", int64(MaxFile))
		}
		n *= s
	}
	if n%d.Elements() != 0 {
		return 0, none("%d elements of %v, which come in blocks of %d", n, d, d.Elements())
	}
	blocks := n / d.Elements()
	if blocks > MaxFile/d.Block() {
		return 0, none("a tensor of more than %d bytes", int64(MaxFile))
	}
	return blocks * d.Block(), nil
}
