package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func benchStore(b *testing.B) *Store {
	o := testOptions(vfs.Default)
	o.Dir = b.TempDir()
	return openTest(b, o)
}

// BenchmarkSmallPuts is sixteen clients that write small objects to a real disk.
func BenchmarkSmallPuts(b *testing.B) {
	s := benchStore(b)
	var n atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, _, err := putBytes(s, testBucket, fmt.Sprintf("dir%d/file%d", i%100, i), testData(uint64(i), 4<<10), PutOptions{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkLargePut(b *testing.B) {
	s := benchStore(b)
	const size = 64 << 20
	data := testData(1, size)
	b.SetBytes(size)
	i := byte(0)
	for b.Loop() {
		i++
		for j := 0; j < size; j += 4096 {
			data[j] = i
		}
		if _, _, err := putBytes(s, testBucket, "large", data, PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s := benchStore(b)
	v := mustPut(b, s, testBucket, "large", testData(1, 64<<20))
	b.SetBytes(v.Size)
	for b.Loop() {
		r, err := s.Open(v)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.WriteTo(discard{}); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkList(b *testing.B) {
	s := benchStore(b)
	for i := range 5000 {
		mustPut(b, s, testBucket, fmt.Sprintf("d%d/f%d", i%1000, i), nil)
	}
	b.ResetTimer()
	for b.Loop() {
		if p, err := s.List(testBucket, ListOptions{Delimiter: "/"}); err != nil || len(p.Prefixes) != 1000 {
			b.Fatal(err, len(p.Prefixes))
		}
	}
}
