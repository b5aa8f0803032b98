package chunk

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"lukechampine.com/blake3"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write the golden vectors anew; they must never differ once released")

// stream gives n bytes that every machine makes alike.
func stream(seed string, n int) []byte {
	h := blake3.New(32, nil)
	io.WriteString(h, seed)
	b := make([]byte, n)
	if _, err := io.ReadFull(h.XOF(), b); err != nil {
		panic(err)
	}
	return b
}

func split(t testing.TB, r io.Reader) (chunks [][]byte) {
	t.Helper()
	if err := Split(r, func(b []byte) error { chunks = append(chunks, bytes.Clone(b)); return nil }); err != nil {
		t.Fatal(err)
	}
	return chunks
}

// The golden file pins table, cuts and names: a change to any of them makes every stored byte strange.
func TestGolden(t *testing.T) {
	var out strings.Builder
	var raw []byte
	for _, w := range table {
		raw = fmt.Appendf(raw, "%016x", w)
	}
	fmt.Fprintf(&out, "table %x first %016x last %016x\n", Sum(raw), table[0], table[255])
	key := [32]byte(stream("tenant", 32))
	inputs := []struct {
		name string
		data []byte
	}{
		{"empty", nil}, {"one", []byte{1}}, {"min", stream("min", Min)}, {"random", stream("random", 2<<20)},
		{"zero", make([]byte, 300<<10)},
		{"text", bytes.Repeat([]byte("the quick brown galleon jumps over the lazy sea\n"), 10000)},
	}
	for _, in := range inputs {
		fmt.Fprintf(&out, "\n%s %d bytes, sum %x\n", in.name, len(in.data), Sum(in.data))
		for _, c := range split(t, bytes.NewReader(in.data)) {
			id := Hash(&key, c)
			fmt.Fprintf(&out, "%6d %s\n", len(c), hex.EncodeToString(id[:]))
		}
	}
	const file = "testdata/golden_v1.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("chunking is no longer version 1; got:\n%s", out.String())
	}
}

// slowCuts is the rule of the package comment, word for word.
func slowCuts(data []byte) (sizes []int) {
	start := 0
	var h uint64
	for i := range data {
		h = h<<1 + table[data[i]]
		n := i + 1 - start
		if i+1 == len(data) || n == Max || n > Min && n <= Target && h>>46 == 0 || n > Target && h>>50 == 0 {
			sizes = append(sizes, n)
			start, h = i+1, 0
		}
	}
	return sizes
}

func TestAgainstSlowTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Low entropy in some streams reaches the forced cuts at Max.
		alphabet := rapid.IntRange(1, 256).Draw(t, "alphabet")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		data := make([]byte, rapid.IntRange(0, 600<<10).Draw(t, "size"))
		for i := range data {
			data[i] = byte(r.IntN(alphabet))
		}
		want := slowCuts(data)
		s := Splitter{}
		var got []int
		var whole []byte
		s.Emit = func(b []byte) error { got = append(got, len(b)); whole = append(whole, b...); return nil }
		for rest := data; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 300<<10).Draw(t, "write"))
			if m, err := s.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("write %d: %d, %v", n, m, err)
			}
			rest = rest[n:]
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole, data) {
			t.Fatal("the chunks do not add up to the stream")
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("cuts %v, the slow twin says %v", got, want)
		}
	})
}

// An insertion near the start must leave nearly all chunks as they were, and sizes must gather round
// Target.
func TestInsertionIsLocal(t *testing.T) {
	data := stream("local", 16<<20)
	seen := map[string]bool{}
	before := split(t, bytes.NewReader(data))
	for _, c := range before {
		seen[string(c)] = true
	}
	if mean := len(data) / len(before); mean < Target*3/4 || mean > Target*5/4 {
		t.Errorf("mean chunk is %d bytes, want about %d", mean, Target)
	}
	changed := append(append(bytes.Clone(data[:100_000]), "inserted"...), data[100_000:]...)
	fresh := 0
	for _, c := range split(t, iotest.OneByteReader(bytes.NewReader(changed))) {
		if !seen[string(c)] {
			fresh++
		}
	}
	if fresh > 4 {
		t.Errorf("an insertion of 8 bytes made %d new chunks of %d", fresh, len(before))
	}
}

func TestKeysSeparateTenants(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	if Hash(&a, []byte("x")) == Hash(&b, []byte("x")) || Hash(&a, nil) == Sum(nil) {
		t.Error("chunk names of two tenants must differ, and from the plain hash")
	}
}

func TestEmitErrorStops(t *testing.T) {
	s := Splitter{Emit: func([]byte) error { return io.ErrShortWrite }}
	if _, err := s.Write(make([]byte, 2*Max)); err != io.ErrShortWrite {
		t.Errorf("Write gave %v", err)
	}
}

func BenchmarkCut(b *testing.B) {
	data := stream("bench", 8<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			rest = rest[Cut(rest):]
		}
	}
}

func BenchmarkHash(b *testing.B) {
	data := stream("bench", Target)
	b.SetBytes(Target)
	for b.Loop() {
		Hash(&[32]byte{}, data)
	}
}
