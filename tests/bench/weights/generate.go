package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// tensor is one of a model, in F32: the master weights.
type tensor struct {
	name  string
	rows  int
	cols  int
	sigma float64
	v     []float32
}

// parts of a layer, as transformers have them; adapters go to the first two.
var parts = []string{"q_proj", "v_proj", "k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

const (
	cols     = 2048
	adapters = 2
)

// model makes master weights of about n elements.
func model(seed uint64, n int) (list []tensor) {
	r := rand.New(rand.NewPCG(seed, 0))
	rows := n / len(parts) / cols
	for i, p := range parts {
		t := tensor{name: fmt.Sprintf("model.layers.0.%s.weight", p), rows: rows, cols: cols, sigma: 0.01 * (1 + float64(i)/2), v: make([]float32, rows*cols)}
		for k := range t.v {
			t.v[k] = float32(r.NormFloat64() * t.sigma)
		}
		list = append(list, t)
	}
	norm := tensor{name: "model.layers.0.norm.weight", rows: 1, cols: cols, sigma: 1, v: make([]float32, cols)}
	for k := range norm.v {
		norm.v[k] = float32(1 + 0.1*r.NormFloat64())
	}
	return append(list, norm)
}

// moved gives a model in which step has changed each tensor's elements.
func moved(list []tensor, step func(t *tensor, v []float32)) (out []tensor) {
	for _, t := range list {
		t.v = append([]float32(nil), t.v...)
		step(&t, t.v)
		out = append(out, t)
	}
	return out
}

// adamNoise is the size of m/sqrt(v) where gradients are noise, with beta1 = 0.9.
var adamNoise = math.Sqrt((1 - 0.9) / (1 + 0.9))

// adam is one step of reinforcement learning.
func adam(seed uint64, lr float64) func(t *tensor, v []float32) {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(t *tensor, v []float32) {
		for i := range v {
			v[i] += float32(lr * adamNoise * r.NormFloat64())
		}
	}
}

// tune is a fine-tune of all weights.
func tune(seed uint64, size float64) func(t *tensor, v []float32) {
	r := rand.New(rand.NewPCG(seed, 2))
	return func(t *tensor, v []float32) {
		for i := range v {
			v[i] += float32(size * r.NormFloat64())
		}
	}
}

// lora adds a product of rank 16 to the tensors that have adapters, of so much of their own size.
func lora(seed uint64, size float64) func(t *tensor, v []float32) {
	const rank = 16
	r := rand.New(rand.NewPCG(seed, 3))
	return func(t *tensor, v []float32) {
		if !adapted(t.name) {
			return
		}
		a, b := make([]float32, rank*t.cols), make([]float32, rank*t.rows)
		for i := range a {
			a[i] = float32(r.NormFloat64())
		}
		for i := range b {
			b[i] = float32(r.NormFloat64() * size * t.sigma / math.Sqrt(rank))
		}
		for row := range t.rows {
			for k := range rank {
				f, line := b[row*rank+k], a[k*t.cols:(k+1)*t.cols]
				for c, x := range line {
					v[row*t.cols+c] += f * x
				}
			}
		}
	}
}

func adapted(name string) bool {
	for _, p := range parts[:adapters] {
		if strings.Contains(name, p) {
			return true
		}
	}
	return false
}

// bf16 rounds to the nearest, ties to even.
func bf16(v []float32) []byte {
	b := make([]byte, 2*len(v))
	for i, f := range v {
		u := math.Float32bits(f)
		binary.LittleEndian.PutUint16(b[2*i:], uint16((u+0x7fff+u>>16&1)>>16))
	}
	return b
}

func f32(v []float32) []byte {
	b := make([]byte, 4*len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(f))
	}
	return b
}

// small rounds a float to one of so many exponent and mantissa bits, with denormals, and saturates.
func small(f float32, exponent, mantissa int) uint16 {
	bias := 1<<(exponent-1) - 1
	sign := uint16(math.Float32bits(f)>>31) << (exponent + mantissa)
	a := math.Abs(float64(f))
	if a == 0 {
		return sign
	}
	_, e := math.Frexp(a)
	e = max(e-1, 1-bias)
	n := math.RoundToEven(math.Ldexp(a, mantissa-e)) // with the leading one, unless it is a denormal
	u := int(n) + (e+bias-1)<<mantissa
	return sign | uint16(min(u, 1<<(exponent+mantissa)-1<<mantissa-1))
}

func f16(v []float32) []byte {
	b := make([]byte, 2*len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint16(b[2*i:], small(f, 5, 10))
	}
	return b
}

// fp8 scales a tensor so that its largest value is at the type's end, as checkpoints with scales do.
func fp8(exponent, mantissa int, largest float64) func(v []float32) []byte {
	return func(v []float32) []byte {
		top := 0.0
		for _, f := range v {
			top = max(top, math.Abs(float64(f)))
		}
		scale := float32(largest / top)
		b := make([]byte, len(v))
		for i, f := range v {
			b[i] = byte(small(f*scale, exponent, mantissa))
		}
		return b
	}
}

// coding is how a tensor's values become bytes.
type coding struct {
	dtype table.DType
	bytes func(v []float32) []byte
}

var codings = map[string]coding{
	"bf16":     {table.BF16, bf16},
	"f32":      {table.F32, f32},
	"f16":      {table.F16, f16},
	"fp8-e4m3": {table.F8E4M3, fp8(4, 3, 448)},
	"fp8-e5m2": {table.F8E5M2, fp8(5, 2, 57344)},
}

// entropyBF16 gives the mean entropy of exponents, in bits, over the tensors of two dimensions.
func entropyBF16(list []tensor) float64 {
	sum, n := 0.0, 0
	for _, t := range list {
		if t.rows == 1 {
			continue
		}
		var count [256]float64
		b := bf16(t.v)
		for i := 0; i < len(b); i += 2 {
			count[byte(binary.LittleEndian.Uint16(b[i:])>>7)]++
		}
		for _, c := range count {
			if c > 0 {
				sum -= c / float64(len(t.v)) * math.Log2(c/float64(len(t.v)))
			}
		}
		n++
	}
	return sum / float64(n)
}

// unchanged is the share of two-byte elements that two files have in common, place by place.
func unchanged(a, b []byte) float64 {
	same := 0
	for i := 0; i+2 <= len(a); i += 2 {
		if a[i] == b[i] && a[i+1] == b[i+1] {
			same++
		}
	}
	return float64(same) / float64(len(a)/2)
}
