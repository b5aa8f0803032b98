package aesgcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"
)

// twin is the standard library's AEAD for the same key.
func twin(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func octets(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// check seals and opens with both and compares.
func check(t testing.TB, key, nonce, plain, aad []byte) {
	t.Helper()
	ours, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	want := twin(t, key).Seal(nil, nonce, plain, aad)
	got := ours.Seal([]byte("before"), nonce, plain, aad)
	if string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
		t.Fatalf("%d octets, %d additional:\n got %x\nwant %x", len(plain), len(aad), got[6:], want)
	}
	place := append(make([]byte, 0, len(plain)+TagLen), plain...)
	if in := ours.Seal(place[:0], nonce, place, aad); !bytes.Equal(in, want) {
		t.Fatalf("%d octets in place: %x, want %x", len(plain), in, want)
	}
	back, err := ours.Open([]byte("before"), nonce, want, aad)
	if err != nil || string(back[:6]) != "before" || !bytes.Equal(back[6:], plain) {
		t.Fatalf("%d octets, %d additional: opened %x, %v", len(plain), len(aad), back, err)
	}
	if back, err := ours.Open(want[:0], nonce, want, aad); err != nil || !bytes.Equal(back, plain) {
		t.Fatalf("%d octets in place: opened %x, %v", len(plain), back, err)
	}
}

func TestLikeTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 2200 {
		check(t, octets(r, KeyLen), octets(r, NonceLen), octets(r, n), octets(r, 24))
	}
	for aad := range 66 {
		for _, n := range []int{0, 1, 15, 16, 17, 63, 64, 65, 239, 240, 241, 255, 256, 257, 1400} {
			check(t, octets(r, KeyLen), octets(r, NonceLen), octets(r, n), octets(r, aad))
		}
	}
	for _, n := range []int{8900, 16384, 65535, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
		check(t, octets(r, KeyLen), octets(r, NonceLen), octets(r, n), octets(r, 24))
	}
}

func TestEveryBitCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 64, 300, 530} {
		g, _ := New(octets(r, KeyLen))
		nonce, plain, aad := octets(r, NonceLen), octets(r, n), octets(r, 24)
		sealed := g.Seal(nil, nonce, plain, aad)
		for _, part := range [][]byte{sealed, aad, nonce} {
			for bit := range 8 * len(part) {
				part[bit/8] ^= 1 << (bit % 8)
				dst := bytes.Repeat([]byte{7}, n)
				if got, err := g.Open(dst[:0], nonce, sealed, aad); err == nil || got != nil {
					t.Fatalf("%d octets: bit %d does not count", n, bit)
				}
				if !bytes.Equal(dst, make([]byte, n)) {
					t.Fatal("what did not open can be read")
				}
				part[bit/8] ^= 1 << (bit % 8)
			}
		}
		if _, err := g.Open(nil, nonce, sealed, aad); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	if _, err := New(make([]byte, 32)); err == nil {
		t.Error("a key of 32 octets was taken")
	}
	g, _ := New(make([]byte, KeyLen))
	if _, err := g.Open(nil, make([]byte, NonceLen), make([]byte, TagLen-1), nil); err == nil {
		t.Error("opened less than a tag")
	}
	b := make([]byte, 200)
	for name, f := range map[string]func(){
		"nonce to seal":  func() { g.Seal(nil, make([]byte, 8), nil, nil) },
		"nonce to open":  func() { g.Open(nil, make([]byte, 8), b, nil) },
		"overlap seal":   func() { g.Seal(b[:1], make([]byte, NonceLen), b[2:100], nil) },
		"overlap open":   func() { g.Open(b[:1], make([]byte, NonceLen), b[2:100], nil) },
		"overlap behind": func() { g.Seal(b[10:10], make([]byte, NonceLen), b[:100], nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestNoAllocation(t *testing.T) {
	g, _ := New(make([]byte, KeyLen))
	dst, src := make([]byte, 0, 2000), make([]byte, 1400)
	nonce, aad := make([]byte, NonceLen), make([]byte, 24)
	if n := testing.AllocsPerRun(100, func() {
		b := g.Seal(dst, nonce, src, aad)
		if _, err := g.Open(b[:0], nonce, b, aad); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLikeTheStandardLibrary(f *testing.F) {
	f.Add(make([]byte, KeyLen), make([]byte, NonceLen), []byte("plain"), []byte("additional"))
	f.Fuzz(func(t *testing.T, key, nonce, plain, aad []byte) {
		if len(key) != KeyLen || len(nonce) != NonceLen {
			return
		}
		check(t, key, nonce, plain, aad)
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{64, 256, 1400, 8900} {
		for name, make1 := range map[string]func() cipher.AEAD{
			"ours":     func() cipher.AEAD { g, _ := New(make([]byte, KeyLen)); return g },
			"standard": func() cipher.AEAD { return twin(b, make([]byte, KeyLen)) },
		} {
			g := make1()
			dst, src, nonce, aad := make([]byte, 0, 9000), make([]byte, n), make([]byte, NonceLen), make([]byte, 24)
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					g.Seal(dst, nonce, src, aad)
				}
			})
			sealed := g.Seal(nil, nonce, src, aad)
			b.Run(fmt.Sprintf("%d/%s/open", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := g.Open(dst, nonce, sealed, aad); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
