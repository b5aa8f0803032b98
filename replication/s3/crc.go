package s3

// Joining CRCs: the CRC of a concatenation from the CRCs of its pieces and the length of the second, as
// in zlib's crc32_combine (Adler), for any reflected CRC whose start and final XOR are all ones.

// nvmePoly is the polynomial of CRC-64/NVME, reflected.
const nvmePoly = 0x9a6c9329ac4bc9b5

// joinCRC gives the CRC of A||B from those of A and B and the length of B in bytes. width is 32 or 64.
func joinCRC(poly uint64, width uint, a, b uint64, lenB int64) uint64 {
	return mulmod(poly, width, powerOfX(poly, width, lenB), a) ^ b
}

// powerOfX gives x^(8n) mod P. Bit width-1 is x^0: reflected.
func powerOfX(poly uint64, width uint, n int64) uint64 {
	p := uint64(1) << (width - 1)
	q := uint64(1) << (width - 2) // x^1
	for range 3 {
		q = mulmod(poly, width, q, q)
	}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = mulmod(poly, width, q, p)
		}
		q = mulmod(poly, width, q, q)
	}
	return p
}

// mulmod gives a*b mod P.
func mulmod(poly uint64, width uint, a, b uint64) uint64 {
	var p uint64
	for m := uint64(1) << (width - 1); m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ poly
		} else {
			b >>= 1
		}
	}
	return p
}
