package weights

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// slowSplit is split, one element at a time.
func slowSplit(d table.DType, src []byte) (planes [][]byte, rest []byte) {
	l := &layouts[d]
	if l.fields != nil {
		size := int(d.Block())
		planes = make([][]byte, len(l.fields))
		for ; len(src) >= size; src = src[size:] {
			at := 0
			for k, f := range l.fields {
				planes[k] = append(planes[k], src[at:at+f]...)
				at += f
			}
		}
		return planes, src
	}
	w := l.planes()
	planes = make([][]byte, w)
	n := len(src) / w
	order := map[int][]int{2: {0, 4, 1, 5, 2, 6, 3, 7}, 4: {0, 4, 2, 6, 1, 5, 3, 7}}[w]
	for i := range n {
		at := i
		if first := i &^ 7; order != nil && first+8 <= n {
			at = first + order[i&7]
		}
		e := append([]byte(nil), src[at*w:(at+1)*w]...)
		switch {
		case w == 2 && l.rotate:
			u := binary.LittleEndian.Uint16(e)
			e[1], e[0] = byte(u>>7), byte(u>>15<<7|u&0x7f)
		case w == 4 && l.rotate:
			u := binary.LittleEndian.Uint32(e)
			binary.LittleEndian.PutUint32(e, u>>23<<24|u>>31<<23|u&0x7fffff)
		}
		for k := range planes {
			planes[k] = append(planes[k], e[k])
		}
	}
	return planes, src[n*w:]
}

func TestSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range allTypes() {
		l := &layouts[d]
		for n := range 600 {
			src := make([]byte, n)
			for i := range src {
				src[i] = byte(r.Uint32())
			}
			planes, rest := l.split(nil, make([]byte, n), src)
			want, wantRest := slowSplit(d, src)
			lens, left := l.planeLens(nil, n)
			if len(planes) != len(want) || len(lens) != len(want) || !bytes.Equal(rest, wantRest) || left != len(rest) {
				t.Fatalf("%v, %d bytes: %d planes and %d bytes left, want %d and %d", d, n, len(planes), len(rest), len(want), len(wantRest))
			}
			for k := range planes {
				if !bytes.Equal(planes[k], want[k]) || lens[k] != len(want[k]) {
					t.Fatalf("%v, %d bytes, plane %d:\n%x\nwant\n%x", d, n, k, planes[k], want[k])
				}
			}
			got := make([]byte, n)
			copy(l.join(got, planes), rest)
			if !bytes.Equal(got, src) {
				t.Fatalf("%v, %d bytes: not the same after split and join", d, n)
			}
		}
	}
}

// A block's fields are all of it.
func TestFields(t *testing.T) {
	for d, fields := range blockFields {
		sum := 0
		for _, f := range fields {
			sum += f
		}
		if int64(sum) != d.Block() {
			t.Errorf("%v: fields of %d bytes in a block of %d", d, sum, d.Block())
		}
	}
}

// changes against a loop over elements.
func TestChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, d := range []table.DType{table.U8, table.BF16, table.F32, table.F64, table.Q4_0} {
		l := &layouts[d]
		for _, n := range []int{0, 1, 5, 8, 31, 32, 33, 64, 100, 1001} {
			for _, often := range []int{2, 30, 1 << 30} {
				base := make([]byte, n)
				target := make([]byte, n)
				for i := range base {
					base[i] = byte(r.Uint32())
					target[i] = base[i]
					if r.IntN(often) == 0 {
						target[i] ^= byte(1 + r.IntN(255))
					}
				}
				var want []uint32
				for i := 0; i+l.width <= n; i += l.width {
					if !bytes.Equal(target[i:i+l.width], base[i:i+l.width]) {
						want = append(want, uint32(i/l.width))
					}
				}
				got, ok := l.changes(nil, target, base, n)
				if !ok || len(got) != len(want) {
					t.Fatalf("%v, %d bytes: %d changes, want %d", d, n, len(got), len(want))
				}
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%v, %d bytes: change %d is %d, want %d", d, n, i, got[i], want[i])
					}
				}
				if len(want) > 0 {
					if _, ok := l.changes(nil, target, base, len(want)-1); ok {
						t.Errorf("%v, %d bytes: %d changes are not more than %d", d, n, len(want), len(want)-1)
					}
				}
			}
		}
	}
}
