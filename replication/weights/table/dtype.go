package table

// DType is what the elements of a tensor are. The numbers are written in frames and never change.
type DType uint8

// The types. Those with a block have several elements under shared scales; their names are GGUF's.
const (
	Bytes DType = iota // nothing is known
	Bool
	U8
	I8
	U16
	I16
	U32
	I32
	U64
	I64
	F16
	BF16
	F32
	F64
	F8E4M3
	F8E5M2
	F8E8M0
	F6E2M3
	F6E3M2
	F4
	C64
	Q4_0
	Q4_1
	Q5_0
	Q5_1
	Q8_0
	Q8_1
	Q2K
	Q3K
	Q4K
	Q5K
	Q6K
	Q8K
	IQ4NL
	IQ4XS
	IQ2XXS
	IQ2XS
	IQ3XXS
	IQ1S
	IQ3S
	IQ2S
	IQ1M
	TQ1_0
	TQ2_0
	MXFP4
	dtypes
)

type dtype struct {
	name     string
	elements int64 // in a block
	block    int64 // bytes
	gguf     int   // its number there, -1 for none
}

var types = [dtypes]dtype{
	Bytes: {"BYTES", 1, 1, -1}, Bool: {"BOOL", 1, 1, -1},
	U8: {"U8", 1, 1, -1}, I8: {"I8", 1, 1, 24}, U16: {"U16", 1, 2, -1}, I16: {"I16", 1, 2, 25},
	U32: {"U32", 1, 4, -1}, I32: {"I32", 1, 4, 26}, U64: {"U64", 1, 8, -1}, I64: {"I64", 1, 8, 27},
	F16: {"F16", 1, 2, 1}, BF16: {"BF16", 1, 2, 30}, F32: {"F32", 1, 4, 0}, F64: {"F64", 1, 8, 28},
	F8E4M3: {"F8_E4M3", 1, 1, -1}, F8E5M2: {"F8_E5M2", 1, 1, -1}, F8E8M0: {"F8_E8M0", 1, 1, -1},
	F6E2M3: {"F6_E2M3", 4, 3, -1}, F6E3M2: {"F6_E3M2", 4, 3, -1}, F4: {"F4", 2, 1, -1}, C64: {"C64", 1, 8, -1},
	Q4_0: {"Q4_0", 32, 18, 2}, Q4_1: {"Q4_1", 32, 20, 3}, Q5_0: {"Q5_0", 32, 22, 6}, Q5_1: {"Q5_1", 32, 24, 7},
	Q8_0: {"Q8_0", 32, 34, 8}, Q8_1: {"Q8_1", 32, 36, 9},
	Q2K: {"Q2_K", 256, 84, 10}, Q3K: {"Q3_K", 256, 110, 11}, Q4K: {"Q4_K", 256, 144, 12},
	Q5K: {"Q5_K", 256, 176, 13}, Q6K: {"Q6_K", 256, 210, 14}, Q8K: {"Q8_K", 256, 292, 15},
	IQ2XXS: {"IQ2_XXS", 256, 66, 16}, IQ2XS: {"IQ2_XS", 256, 74, 17}, IQ3XXS: {"IQ3_XXS", 256, 98, 18},
	IQ1S: {"IQ1_S", 256, 50, 19}, IQ4NL: {"IQ4_NL", 32, 18, 20}, IQ3S: {"IQ3_S", 256, 110, 21},
	IQ2S: {"IQ2_S", 256, 82, 22}, IQ4XS: {"IQ4_XS", 256, 136, 23}, IQ1M: {"IQ1_M", 256, 56, 29},
	TQ1_0: {"TQ1_0", 256, 54, 34}, TQ2_0: {"TQ2_0", 256, 66, 35}, MXFP4: {"MXFP4", 32, 17, 39},
}

// byName is for safetensors, which has no blocks; byNumber for GGUF.
var byName, byNumber = func() (map[string]DType, map[uint32]DType) {
	names, numbers := map[string]DType{}, map[uint32]DType{}
	for d := Bool; d < dtypes; d++ {
		if d <= C64 {
			names[types[d].name] = d
		}
		if types[d].gguf >= 0 {
			numbers[uint32(types[d].gguf)] = d
		}
	}
	return names, numbers
}()

// Valid says whether the number is that of a type.
func (d DType) Valid() bool { return d < dtypes }

func (d DType) String() string { return types[d].name }

// Elements is how many elements a block has, 1 where there are no blocks.
func (d DType) Elements() int64 { return types[d].elements }

// Block is the size of a block, or of an element where there are no blocks, in bytes.
func (d DType) Block() int64 { return types[d].block }

// ByName finds a type by the name that String gives.
func ByName(name string) (DType, bool) {
	for d := range types {
		if types[d].name == name {
			return DType(d), true
		}
	}
	return 0, false
}
