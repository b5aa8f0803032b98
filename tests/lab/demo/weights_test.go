package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

const testWeights = 8 << 20

func generate(t *testing.T, size int64, seed uint64) ([]byte, float64) {
	t.Helper()
	w := newWeights(size, seed)
	var b bytes.Buffer
	entropy, err := w.writeTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != w.size() {
		t.Fatalf("%d bytes written, %d announced", b.Len(), w.size())
	}
	return b.Bytes(), entropy
}

// TestWeightsAreASafetensorsFile reads the file as the format's description says.
func TestWeightsAreASafetensorsFile(t *testing.T) {
	b, _ := generate(t, testWeights, 1)
	if n := int64(len(b)); n > testWeights || n < testWeights*98/100 {
		t.Errorf("%d bytes, want nearly %d", n, testWeights)
	}
	n := binary.LittleEndian.Uint64(b)
	if n%8 != 0 || n > uint64(len(b)-8) {
		t.Fatalf("header of %d bytes in a file of %d", n, len(b))
	}
	var table map[string]struct {
		Dtype   string
		Shape   []int64
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+n], &table); err != nil {
		t.Fatal(err)
	}
	delete(table, "__metadata__")
	var covered int64
	for name, e := range table {
		size := e.Offsets[1] - e.Offsets[0]
		if e.Dtype != "BF16" || e.Shape[0]*e.Shape[1]*2 != size {
			t.Errorf("%s: %+v", name, e)
		}
		covered += size
	}
	if data := int64(len(b)) - 8 - int64(n); covered != data {
		t.Errorf("the tensors cover %d of %d bytes", covered, data)
	}
}

// TestWeightsAreHonest: the exponent of a normal variable has about 2.6 bits, whatever its sigma; the other
// 8 bits are noise.
func TestWeightsAreHonest(t *testing.T) {
	b, entropy := generate(t, testWeights, 2)
	if entropy < 2.5 || entropy > 2.65 {
		t.Errorf("exponents have %.3f bits", entropy)
	}
	data := b[8+binary.LittleEndian.Uint64(b):]
	var low [256]int64
	var sum float64
	for i := 0; i < len(data); i += 2 {
		v := binary.LittleEndian.Uint16(data[i:])
		low[v&0x7f|v>>8&0x80]++
		sum += float64(math.Float32frombits(uint32(v) << 16))
	}
	if h := bitsPerSymbol(low[:]); h < 7.9 {
		t.Errorf("sign and mantissa have %.3f of 8 bits", h)
	}
	if mean := sum / float64(len(data)/2); math.Abs(mean) > 1e-4 {
		t.Errorf("mean %g", mean)
	}
}

func TestWeightsFollowTheSeed(t *testing.T) {
	a, _ := generate(t, 1<<20, 1)
	b, _ := generate(t, 1<<20, 1)
	c, _ := generate(t, 1<<20, 2)
	if sha256.Sum256(a) != sha256.Sum256(b) || sha256.Sum256(a) == sha256.Sum256(c) {
		t.Error("the same seed must give the same file, another seed another")
	}
}

// TestToBF16 holds the rounding to a slow twin: of the two neighbours, the nearer; of two equally near, the even.
func TestToBF16(t *testing.T) {
	value := func(b uint16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) }
	rapid.Check(t, func(t *rapid.T) {
		f := float32(rapid.Float64Range(-8, 8).Draw(t, "value"))
		if rapid.Bool().Draw(t, "tie") {
			f = math.Float32frombits(math.Float32bits(f)&0xffff0000 | 0x8000)
		}
		down := uint16(math.Float32bits(f) >> 16)
		up := down + 1
		want := down
		dd, du := math.Abs(float64(f)-value(down)), math.Abs(float64(f)-value(up))
		if du < dd || du == dd && down&1 == 1 {
			want = up
		}
		if got := toBF16(f); got != want {
			t.Fatalf("%v: got %#04x, want %#04x", f, got, want)
		}
	})
}
