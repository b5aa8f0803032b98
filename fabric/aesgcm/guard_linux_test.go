package aesgcm

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingIsTouchedBeyondTheEnds puts every buffer against a page that may not be touched, first with its
// end, then with its beginning.
func TestNothingIsTouchedBeyondTheEnds(t *testing.T) {
	const size = 8192
	page := unix.Getpagesize()
	guarded := func() []byte {
		m, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Munmap(m) })
		for _, g := range [][]byte{m[:page], m[page+size:]} {
			if err := unix.Mprotect(g, unix.PROT_NONE); err != nil {
				t.Fatal(err)
			}
		}
		return m[page : page+size : page+size]
	}
	src, dst, aads, nonces, back := guarded(), guarded(), guarded(), guarded(), guarded()
	r := rand.New(rand.NewPCG(1, 2))
	g, err := New(octets(r, KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	part := func(b []byte, n int, atEnd bool) []byte {
		if atEnd {
			return b[len(b)-n:]
		}
		return b[:n:n]
	}
	for n := range 700 {
		for _, atEnd := range []bool{true, false} {
			aad := part(aads, n%(maxAADTested+1), atEnd)
			nonce := part(nonces, NonceLen, atEnd)
			sealed := g.Seal(part(dst, n+TagLen, atEnd)[:0], nonce, part(src, n, atEnd), aad)
			if _, err := g.Open(part(back, n, atEnd)[:0], nonce, sealed, aad); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const maxAADTested = 60
