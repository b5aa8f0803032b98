package main

import (
	"encoding/binary"
	"math"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// quantized is a GGUF type: its number there, and how values become blocks of it.
type quantized struct {
	number uint32
	coding
}

var quantizations = map[string]quantized{
	"gguf-q8_0": {8, coding{table.Q8_0, q80}},
	"gguf-q4_0": {2, coding{table.Q4_0, q40}},
	"gguf-q4_k": {12, coding{table.Q4K, q4k}},
}

func half(b []byte, f float32) []byte { return binary.LittleEndian.AppendUint16(b, small(f, 5, 10)) }

// q80 has 32 values of eight bits under a scale: the largest magnitude is 127.
func q80(v []float32) (out []byte) {
	for ; len(v) >= 32; v = v[32:] {
		top := float32(0)
		for _, x := range v[:32] {
			top = max(top, float32(math.Abs(float64(x))))
		}
		d := top / 127
		out = half(out, d)
		for _, x := range v[:32] {
			out = append(out, byte(int8(math.Round(float64(x/d)))))
		}
	}
	return out
}

// q40 has 32 values of four bits: the largest magnitude, with its sign, is -8; values 0 to 15 value i beside value i+16.
func q40(v []float32) (out []byte) {
	for ; len(v) >= 32; v = v[32:] {
		top := float32(0)
		for _, x := range v[:32] {
			if math.Abs(float64(x)) > math.Abs(float64(top)) {
				top = x
			}
		}
		d := top / -8
		out = half(out, d)
		q := func(x float32) byte { return byte(min(15, int(x/d+8.5))) }
		for i := range 16 {
			out = append(out, q(v[i])|q(v[16+i])<<4)
		}
	}
	return out
}

// q4k has 256 values of four bits in eight groups, each with a scale and a minimum of six bits, under two scales for all. Scales are
// from each group's least and greatest value; ggml searches round those for the least error, which changes little in their statistics.
func q4k(v []float32) (out []byte) {
	for ; len(v) >= 256; v = v[256:] {
		var scale, low [8]float32
		topScale, topLow := float32(0), float32(0)
		for g := range 8 {
			least, most := float32(0), float32(math.Inf(-1))
			for _, x := range v[32*g : 32*g+32] {
				least, most = min(least, x), max(most, x)
			}
			scale[g], low[g] = (most-least)/15, -least
			topScale, topLow = max(topScale, scale[g]), max(topLow, low[g])
		}
		d, dmin := topScale/63, topLow/63
		out = half(half(out, d), dmin)
		var s, m [8]byte
		for g := range 8 {
			s[g], m[g] = byte(math.Round(float64(scale[g]/d))), byte(math.Round(float64(low[g]/dmin)))
		}
		var packed [12]byte
		for g := range 4 {
			packed[g] = s[g] | s[g+4]>>4<<6
			packed[g+4] = m[g] | m[g+4]>>4<<6
			packed[g+8] = s[g+4]&15 | m[g+4]&15<<4
		}
		out = append(out, packed[:]...)
		q := func(g, i int) byte {
			f := d * float32(s[g])
			if f == 0 {
				return 0
			}
			return byte(max(0, min(15, math.Round(float64((v[32*g+i]+dmin*float32(m[g]))/f)))))
		}
		for g := 0; g < 8; g += 2 {
			for i := range 32 {
				out = append(out, q(g, i)|q(g+1, i)<<4)
			}
		}
	}
	return out
}
