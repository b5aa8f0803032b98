//go:build !purego

package aesgcm

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/cpu"
)

const (
	roundKeys = 11 // of AES-128
	top       = 20 // the highest power of H that is held
	// A tail of 16 blocks, loaded four at a time from the power of its first block on, may read beyond the
	// last power; what lies there is multiplied with nothing.
	tableLen = top - 1 + 16 + 1

	// maxAAD is how many octets of additional data go the fast way: three blocks, with a tail of 16 and the
	// block of lengths, are as many as there are powers.
	maxAAD = 48

	// maxPayload is how many octets go the fast way, far from where a counter of 32 bits would turn over.
	maxPayload = 1 << 20
)

// errOpen says no more than the standard library's does.
var errOpen = errors.New("aesgcm: message authentication failed")

// state is what the assembly reads. Its layout is fixed there.
type state struct {
	keys   [roundKeys][16]byte
	powers [tableLen][16]byte // H^top, ..., H^1, zeros; octets reversed, times x
}

//go:noescape
func expand(keys *[roundKeys][16]byte, key, h *byte)

//go:noescape
func mul(dst, a, b *byte)

//go:noescape
func seal(s *state, nonce, dst, src *byte, n int, aad *byte, aadLen int, tag *byte)

//go:noescape
func open(s *state, nonce, dst, src *byte, n int, aad *byte, aadLen int, tag *byte)

// supported says that this CPU, and its operating system, have what the assembly uses.
var supported = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ &&
	cpu.X86.HasAVX512VAES && cpu.X86.HasAVX512VPCLMULQDQ && cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasBMI2

// fast is AES-128-GCM in assembly. What is too long for it goes to std.
type fast struct {
	std cipher.AEAD
	s   state
}

// faster returns the AEAD of this CPU.
func faster(key []byte, std cipher.AEAD) cipher.AEAD {
	if !supported {
		return std
	}
	g := &fast{std: std}
	var e, h [16]byte
	expand(&g.s.keys, &key[0], &e[0])
	// H with its octets reversed, times x: a shift to the left, and the polynomial for what is shifted out.
	lo, hi := binary.BigEndian.Uint64(e[8:]), binary.BigEndian.Uint64(e[:8])
	out := -(hi >> 63)
	hi = hi<<1 | lo>>63
	lo <<= 1
	hi ^= out & 0xc200000000000000
	lo ^= out & 1
	binary.LittleEndian.PutUint64(h[:8], lo)
	binary.LittleEndian.PutUint64(h[8:], hi)
	g.s.powers[top-1] = h
	for i := top - 2; i >= 0; i-- {
		mul(&g.s.powers[i][0], &g.s.powers[i+1][0], &h[0])
	}
	return g
}

func (g *fast) NonceSize() int { return NonceLen }
func (g *fast) Overhead() int  { return TagLen }

// Seal implements cipher.AEAD.
func (g *fast) Seal(dst, nonce, plaintext, aad []byte) []byte {
	if len(nonce) != NonceLen {
		panic("aesgcm: nonce of a wrong length")
	}
	if len(aad) > maxAAD || len(plaintext) > maxPayload {
		return g.std.Seal(dst, nonce, plaintext, aad)
	}
	ret, out := extend(dst, len(plaintext)+TagLen)
	if inexact(out, plaintext) {
		panic("aesgcm: source and destination overlap")
	}
	seal(&g.s, &nonce[0], unsafe.SliceData(out), unsafe.SliceData(plaintext), len(plaintext),
		unsafe.SliceData(aad), len(aad), &out[len(plaintext)])
	return ret
}

// Open implements cipher.AEAD.
func (g *fast) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if len(nonce) != NonceLen {
		panic("aesgcm: nonce of a wrong length")
	}
	n := len(ciphertext) - TagLen
	if n < 0 {
		return nil, errOpen
	}
	if len(aad) > maxAAD || n > maxPayload {
		return g.std.Open(dst, nonce, ciphertext, aad)
	}
	ret, out := extend(dst, n)
	if inexact(out, ciphertext[:n]) {
		panic("aesgcm: source and destination overlap")
	}
	var tag [TagLen]byte
	open(&g.s, &nonce[0], unsafe.SliceData(out), unsafe.SliceData(ciphertext), n,
		unsafe.SliceData(aad), len(aad), &tag[0])
	if subtle.ConstantTimeCompare(tag[:], ciphertext[n:]) != 1 {
		clear(out)
		return nil, errOpen
	}
	return ret, nil
}

// extend is append of n octets whose value does not matter.
func extend(dst []byte, n int) (ret, tail []byte) {
	total := len(dst) + n
	if cap(dst) >= total {
		ret = dst[:total]
	} else {
		ret = make([]byte, total)
		copy(ret, dst)
	}
	return ret, ret[len(dst):]
}

// inexact says that a and b share memory and do not begin together.
func inexact(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	x, y := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return x != y && x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
