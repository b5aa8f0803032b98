package aesgcm

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The test cases 1 to 4 of McGrew and Viega, The Galois/Counter Mode of Operation (GCM), appendix B: those
// with keys of 128 and nonces of 96 bits.
var vectors = []struct{ key, nonce, plain, aad, sealed string }{
	{
		"00000000000000000000000000000000", "000000000000000000000000", "", "",
		"58e2fccefa7e3061367f1d57a4e7455a",
	},
	{
		"00000000000000000000000000000000", "000000000000000000000000", "00000000000000000000000000000000", "",
		"0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
	},
	{
		"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255", "",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985" +
			"4d5c2af327cd64a62cf35abd2ba6fab4",
	},
	{
		"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" +
			"5bc94fbc3221a5db94fae95ae7121a47",
	},
}

func TestVectors(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for i, v := range vectors {
		g, err := New(unhex(v.key))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Seal(nil, unhex(v.nonce), unhex(v.plain), unhex(v.aad)); !bytes.Equal(got, unhex(v.sealed)) {
			t.Errorf("test case %d: %x", i+1, got)
		}
		if got, err := g.Open(nil, unhex(v.nonce), unhex(v.sealed), unhex(v.aad)); err != nil || !bytes.Equal(got, unhex(v.plain)) {
			t.Errorf("test case %d: %x, %v", i+1, got, err)
		}
	}
}
