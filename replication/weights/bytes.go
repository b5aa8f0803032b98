package weights

import (
	"encoding/binary"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// reader reads recipes and indexes, which come from elsewhere. After the first thing that is wrong it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt(format, args...)
	}
	r.b = nil
}

// take gives the next n bytes, nil when there are fewer.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("%d bytes where %d belong", len(r.b), n)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

// number reads a uvarint of at most most.
func (r *reader) number(most int64) int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(most) {
		r.fail("a number that is missing or greater than %d", most)
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

// count reads how many things follow, each of at least so many bytes: so what is made room for is there.
func (r *reader) count(size int) int {
	return int(r.number(int64(len(r.b) / size)))
}

func (r *reader) sum() (s Sum) {
	copy(s[:], r.take(len(s)))
	return s
}

func (r *reader) dtype() table.DType {
	d := table.DType(r.byte())
	if !d.Valid() {
		r.fail("the unknown type %d", d)
		return 0
	}
	return d
}

// sums reads n sums.
func (r *reader) sums(n int) []Sum {
	p := r.take(min(n, len(r.b)) * len(Sum{}))
	if p == nil || n*len(Sum{}) != len(p) {
		r.fail("fewer than %d sums", n)
		return nil
	}
	out := make([]Sum, n)
	for i := range out {
		out[i] = Sum(p[i*len(Sum{}):])
	}
	return out
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail("%d bytes behind the end", len(r.b))
	}
	return r.err
}

func appendNumber(b []byte, v int64) []byte { return binary.AppendUvarint(b, uint64(v)) }
