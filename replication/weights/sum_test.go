package weights

import (
	"math/rand/v2"
	"testing"

	"lukechampine.com/blake3"
)

func TestSumOf(t *testing.T) {
	p := make([]byte, 1<<20+5)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(p)
	sizes := []int{0, 1, 1023, 1024, 1025, len(p)}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33, 64} {
		for _, more := range []int{-1025, -1024, -1, 0, 1, 1024, 1025, 5000} {
			if size := n*stretch + more; size <= len(p) {
				sizes = append(sizes, size)
			}
		}
	}
	for _, n := range sizes {
		if got, want := SumOf(p[:n]), blake3.Sum256(p[:n]); got != want {
			t.Errorf("%d bytes: %v, want %x", n, got, want)
		}
	}
}
