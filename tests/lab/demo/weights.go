package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

// weights is a safetensors file as a training run would leave it: BF16 tensors of a transformer, each value
// drawn from N(0, sigma of its tensor) and rounded to the nearest BF16, ties to even. Weights made so are as hard to
// compress as real ones: sign and mantissa are noise, and the exponent holds about 2.6 of its 8 bits.
//
//	┌──────────────────┬──────────────────────────────┬──────────────────────┐
//	│ header length    │ header: JSON, padded with    │ tensors, in order,   │
//	│ 8 bytes, LE      │ spaces to 8 bytes            │ 2 bytes a value, LE  │
//	└──────────────────┴──────────────────────────────┴──────────────────────┘
type weights struct {
	seed    uint64
	tensors []tensor
	header  []byte // with its length
}

// tensor is one matrix. Its values depend on the seed and its place alone.
type tensor struct {
	name       string
	rows, cols int
	sigma      float64
}

// Shape of the model: layers are added until the file has its size.
const (
	modelWidth  = 1024
	modelHidden = 2816
	bf16Size    = 2
)

// newWeights plans a file of at most size bytes, as near to it as whole rows allow.
func newWeights(size int64, seed uint64) *weights {
	w := &weights{seed: seed}
	left := size / bf16Size
	left -= left / 256 // room for the header
	add := func(name string, rows, cols int, sigma float64) bool {
		rows = min(rows, int(left/int64(cols)))
		if rows == 0 {
			return false
		}
		w.tensors = append(w.tensors, tensor{name, rows, cols, sigma})
		left -= int64(rows) * int64(cols)
		return true
	}
	add("model.embed_tokens.weight", 16384, modelWidth, 0.02)
	for layer := 0; ; layer++ {
		depth := 1 / math.Sqrt(float64(2*(layer+1))) // deeper layers start smaller
		name := func(part string) string { return fmt.Sprintf("model.layers.%d.%s.weight", layer, part) }
		if !add(name("self_attn.q_proj"), modelWidth, modelWidth, 0.031) ||
			!add(name("self_attn.k_proj"), modelWidth/4, modelWidth, 0.043) ||
			!add(name("self_attn.v_proj"), modelWidth/4, modelWidth, 0.017) ||
			!add(name("self_attn.o_proj"), modelWidth, modelWidth, 0.024*depth) ||
			!add(name("mlp.gate_proj"), modelHidden, modelWidth, 0.021) ||
			!add(name("mlp.up_proj"), modelHidden, modelWidth, 0.019) ||
			!add(name("mlp.down_proj"), modelWidth, modelHidden, 0.022*depth) {
			break
		}
	}
	w.header = w.encodeHeader()
	return w
}

// encodeHeader writes the table of tensors. encoding/json sorts the names; offsets say where each one is.
func (w *weights) encodeHeader() []byte {
	type entry struct {
		Dtype   string   `json:"dtype"`
		Shape   [2]int   `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	table := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var at int64
	for _, t := range w.tensors {
		table[t.name] = entry{"BF16", [2]int{t.rows, t.cols}, [2]int64{at, at + t.size()}}
		at += t.size()
	}
	body, err := json.Marshal(table)
	if err != nil {
		panic(fmt.Sprintf("encode a table of strings and numbers: %v", err))
	}
	for len(body)%8 != 0 {
		body = append(body, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(body))), body...)
}

// size is the bytes of the tensor.
func (t tensor) size() int64 { return int64(t.rows) * int64(t.cols) * bf16Size }

// size is the bytes of the file.
func (w *weights) size() int64 {
	n := int64(len(w.header))
	for _, t := range w.tensors {
		n += t.size()
	}
	return n
}

// writeTo writes the file and gives the exponents' entropy in bits per value, the mean over all values of
// what each tensor has.
func (w *weights) writeTo(out io.Writer) (entropy float64, err error) {
	if _, err := out.Write(w.header); err != nil {
		return 0, err
	}
	var values int64
	for i, t := range w.tensors {
		counts, err := t.writeTo(out, rand.New(rand.NewPCG(w.seed, uint64(i))))
		if err != nil {
			return 0, err
		}
		n := t.size() / bf16Size
		entropy += float64(n) * bitsPerSymbol(counts[:])
		values += n
	}
	return entropy / float64(max(1, values)), nil
}

// writeTo draws the values row by row and counts their exponents.
func (t tensor) writeTo(out io.Writer, r *rand.Rand) (exponents [256]int64, err error) {
	row := make([]byte, t.cols*bf16Size)
	for range t.rows {
		for c := range t.cols {
			v := toBF16(float32(r.NormFloat64() * t.sigma))
			exponents[v>>7&0xff]++
			binary.LittleEndian.PutUint16(row[c*bf16Size:], v)
		}
		if _, err := out.Write(row); err != nil {
			return exponents, err
		}
	}
	return exponents, nil
}

// toBF16 rounds to the nearest BF16, ties to even. Half of the last place that stays is added, and a bit less
// where the bit that stays is even, so that only a tie is decided by it. Infinities stay; NaNs do not occur here.
func toBF16(f float32) uint16 {
	b := math.Float32bits(f)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// bitsPerSymbol is the entropy of a distribution given by counts (Shannon).
func bitsPerSymbol(counts []int64) float64 {
	var n float64
	for _, c := range counts {
		n += float64(c)
	}
	var h float64
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}
