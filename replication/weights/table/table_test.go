package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// st writes a safetensors file with a header and n bytes behind it.
func st(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestSafetensors(t *testing.T) {
	good := []struct {
		header string
		n      int
		want   string
	}{
		{`{}`, 0, ``},
		{`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}  `, 12, `a BF16 [2 3] 0+12`},
		{`{"__metadata__":{"format":"pt"},"b":{"shape":[],"dtype":"F32","data_offsets":[12,16]},"a":{"dtype":"I8","shape":[12],"data_offsets":[0,12]}}`,
			16, `a I8 [12] 0+12, b F32 [] 12+4`},
		{`{"e":{"dtype":"F64","shape":[0,5],"data_offsets":[4,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4, `a U8 [4] 0+4, e F64 [0 5] 4+0`},
		{`{"é\u00e9\ud83d\ude00\n":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1, "éé😀\n F8_E4M3 [1] 0+1"},
		{`{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}`, 2, `q F4 [4] 0+2`},
	}
	for _, c := range good {
		file := st(c.header, c.n)
		table, want, err := Read(file, int64(len(file)))
		if err != nil || want != 0 {
			t.Errorf("%s: %d, %v", c.header, want, err)
			continue
		}
		var out []string
		for _, x := range table.Tensors {
			out = append(out, fmt.Sprintf("%s %v %v %d+%d", x.Name, x.DType, x.Shape, x.Offset-table.Data, x.Size))
		}
		if got := strings.Join(out, ", "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.header, got, c.want)
		}
	}
	a := `"dtype":"U8","shape":[4],"data_offsets":[0,4]`
	bad := []struct {
		why, header string
		n           int
	}{
		{"unknown type", `{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,4]}}`, 4},
		{"name twice", `{"a":{` + a + `},"a":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}`, 4},
		{"key twice", `{"a":{` + a + `,"dtype":"U8"}}`, 4},
		{"key missing", `{"a":{"dtype":"U8","shape":[4]}}`, 4},
		{"key unknown", `{"a":{` + a + `,"x":1}}`, 4},
		{"overlap", `{"a":{` + a + `},"b":{"dtype":"U8","shape":[3],"data_offsets":[3,6]}}`, 6},
		{"hole", `{"a":{` + a + `},"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}`, 6},
		{"more data", `{"a":{` + a + `}}`, 5},
		{"less data", `{"a":{` + a + `}}`, 3},
		{"size is not the shape's", `{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,4]}}`, 4},
		{"backwards", `{"a":{"dtype":"U8","shape":[0],"data_offsets":[4,0]}}`, 4},
		{"negative", `{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}`, 4},
		{"fraction", `{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}`, 4},
		{"leading zero", `{"a":{"dtype":"U8","shape":[04],"data_offsets":[0,4]}}`, 4},
		{"overflow", `{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0},
		{"overflow and back", `{"a":{"dtype":"F64","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}`, 0},
		{"three offsets", `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}`, 4},
		{"nine dimensions", `{"a":{"dtype":"U8","shape":[4,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4},
		{"half a byte", `{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`, 2},
		{"metadata of numbers", `{"__metadata__":{"a":1}}`, 0},
		{"trailing JSON", `{} {}`, 0}, {"trailing comma", `{"a":{` + a + `},}`, 4},
		{"no end", `{"a":{` + a + `}`, 4}, {"control character", "{\"a\n\":{" + a + "}}", 4},
		{"half a pair", `{"\ud83d":{` + a + `}}`, 4}, {"not UTF-8", "{\"\xff\":{" + a + "}}", 4},
		{"unknown escape", `{"\x":{` + a + `}}`, 4},
	}
	for _, c := range bad {
		file := st(c.header, c.n)
		if _, want, err := Read(file, int64(len(file))); !errors.Is(err, ErrNone) || want != 0 {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	if _, _, err := Read(st("[", 0)[:9], 1<<40); !errors.Is(err, ErrNone) {
		t.Error("no object:", err)
	}
	huge := binary.LittleEndian.AppendUint64(nil, MaxHeader+1)
	if _, _, err := Read(append(huge, '{'), 1<<40); !errors.Is(err, ErrNone) {
		t.Error("a header that is too long:", err)
	}
}

// gg writes GGUF headers.
type gg struct{ b []byte }

func (g *gg) u32(v ...uint32) *gg {
	for _, v := range v {
		g.b = binary.LittleEndian.AppendUint32(g.b, v)
	}
	return g
}

func (g *gg) u64(v ...uint64) *gg {
	for _, v := range v {
		g.b = binary.LittleEndian.AppendUint64(g.b, v)
	}
	return g
}

func (g *gg) str(s string) *gg {
	g.u64(uint64(len(s)))
	g.b = append(g.b, s...)
	return g
}

func (g *gg) head(version uint32, tensors, pairs uint64) *gg {
	g.b = append(g.b, "GGUF"...)
	return g.u32(version).u64(tensors, pairs)
}

func (g *gg) info(name string, kind uint32, offset uint64, shape ...uint64) *gg {
	return g.str(name).u32(uint32(len(shape))).u64(shape...).u32(kind).u64(offset)
}

// data pads to align and adds n bytes.
func (g *gg) data(align, n int) []byte {
	for len(g.b)%align != 0 {
		g.b = append(g.b, 0)
	}
	return append(g.b, make([]byte, n)...)
}

func TestGGUF(t *testing.T) {
	pairs := func(g *gg) *gg {
		g.str("general.name").u32(8).str("x")
		g.str("tokens").u32(9).u32(8).u64(2).str("a").str("bc")
		g.str("scores").u32(9).u32(6).u64(3).u32(1, 2, 3)
		g.str("nested").u32(9).u32(9).u64(1).u32(0).u64(2)
		g.b = append(g.b, 1, 2)
		return g.str("general.alignment").u32(4).u32(64)
	}
	file := pairs(new(gg).head(3, 2, 5)).info("q", 2, 0, 64, 3).info("f", 0, 128, 5).data(64, 128+20)
	table, _, err := Read(file, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Tensors) != 2 || table.Tensors[0].Size != 108 || table.Tensors[0].DType != Q4_0 || table.Tensors[1].Offset != table.Data+128 {
		t.Errorf("%+v", table)
	}
	// As it arrives: every prefix asks for more than it has, and what is asked for ends.
	for n := 0; n < len(file)-148; n++ {
		_, want, err := Read(file[:n], int64(len(file)))
		if err != nil || want <= n && want != 0 || want > len(file) {
			t.Fatalf("with %d of %d bytes: want %d, %v", n, len(file), want, err)
		}
	}
	bad := map[string][]byte{
		"version":         new(gg).head(4, 0, 0).data(32, 0),
		"big endian":      new(gg).head(3<<24, 0, 0).data(32, 0),
		"many tensors":    new(gg).head(3, 1<<40, 0).data(32, 0),
		"many pairs":      new(gg).head(3, 0, 1<<40).data(32, 0),
		"two names":       new(gg).head(3, 2, 0).info("a", 0, 0, 8).info("a", 0, 32, 8).data(32, 64),
		"overlap":         new(gg).head(3, 2, 0).info("a", 0, 0, 8).info("b", 0, 0, 8).data(32, 32),
		"hole":            new(gg).head(3, 2, 0).info("a", 0, 0, 8).info("b", 0, 96, 8).data(32, 128),
		"not aligned":     new(gg).head(3, 1, 0).info("a", 0, 4, 8).data(32, 36),
		"beyond the end":  new(gg).head(3, 1, 0).info("a", 0, 0, 9).data(32, 32),
		"more at the end": new(gg).head(3, 1, 0).info("a", 0, 0, 8).data(32, 65),
		"unknown type":    new(gg).head(3, 1, 0).info("a", 4, 0, 8).data(32, 32),
		"half a block":    new(gg).head(3, 1, 0).info("a", 2, 0, 16, 2).data(32, 18),
		"alignment":       new(gg).head(3, 0, 1).str("general.alignment").u32(4).u32(0).data(32, 0),
		"two alignments":  new(gg).head(3, 0, 2).str("general.alignment").u32(4).u32(8).str("general.alignment").u32(4).u32(16).data(32, 0),
		"unknown value":   new(gg).head(3, 0, 1).str("a").u32(13).u32(0).data(32, 0),
		"long string":     new(gg).head(3, 0, 1).str("a").u32(8).u64(1<<40).data(32, 0),
		"dimensions":      new(gg).head(3, 1, 0).str("a").u32(9).u64(make([]uint64, 9)...).u32(0).u64(0).data(32, 0),
	}
	for why, file := range bad {
		if _, want, err := Read(file, int64(len(file))); !errors.Is(err, ErrNone) || want != 0 {
			t.Errorf("%s: want %d, %v", why, want, err)
		}
	}
	deep := new(gg).head(3, 0, 1).str("a").u32(9)
	for range 100 {
		deep.u32(9).u64(1)
	}
	if _, _, err := Read(deep.b, int64(len(deep.b))); !errors.Is(err, ErrNone) {
		t.Error("arrays in arrays:", err)
	}
}

func TestShards(t *testing.T) {
	s, err := ReadShards([]byte(`{"metadata":{"total_size":1e3,"x":[true,null,-1.5]},"weight_map":{"b":"2.safetensors","a":"1.safetensors","c":"1.safetensors"}}`))
	if err != nil || fmt.Sprint(s.Files) != "[1.safetensors 2.safetensors]" || s.Of["c"] != "1.safetensors" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{
		``, `[]`, `{}`, `{"weight_map":{"a":"../x"}}`, `{"weight_map":{"a":"x","a":"y"}}`, `{"weight_map":{},"weight_map":{}}`,
		`{"weight_map":{"a":""}}`, `{"weight_map":{"a":1}}`, `{"m":nul,"weight_map":{}}`, `{"m":` + strings.Repeat("[", 100),
	} {
		if _, err := ReadShards([]byte(bad)); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Whatever a table says, its tensors lie in the file, in order, and do not overlap.
func check(t interface{ Fatalf(string, ...any) }, file []byte) {
	table, want, err := Read(file, int64(len(file)))
	if err != nil || want != 0 {
		if want > len(file) {
			t.Fatalf("wants %d bytes of %d", want, len(file))
		}
		return
	}
	end := table.Data
	for _, x := range table.Tensors {
		n, err := sizeOf(x.DType, x.Shape)
		if err != nil || n != x.Size || x.Offset < end || x.Offset+x.Size > int64(len(file)) {
			t.Fatalf("%+v behind %d of %d: %v", x, end, len(file), err)
		}
		end = x.Offset + x.Size
	}
}

func TestMutations(t *testing.T) {
	a := st(`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}}`, 13)
	b := new(gg).head(3, 2, 1).str("k").u32(9).u32(4).u64(1).u32(7).info("q", 2, 0, 32).info("f", 0, 32, 5).data(32, 52)
	rapid.Check(t, func(t *rapid.T) {
		file := append([]byte(nil), rapid.SampledFrom([][]byte{a, b}).Draw(t, "file")...)
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			file[rapid.IntRange(0, len(file)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		check(t, file)
	})
}

func FuzzRead(f *testing.F) {
	f.Add(st(`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`, 12))
	f.Add(st(`{"__metadata__":{"a":"\u00e9"},"b":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, 1))
	f.Add(new(gg).head(3, 2, 1).str("k").u32(9).u32(4).u64(1).u32(7).info("q", 2, 0, 32).info("f", 0, 32, 5).data(32, 52))
	f.Add(new(gg).head(2, 0, 1).str("general.alignment").u32(4).u32(8).data(8, 0))
	f.Fuzz(func(t *testing.T, file []byte) { check(t, file) })
}

func FuzzShards(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1e3},"weight_map":{"b":"2","a":"1"}}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = ReadShards(b) })
}
