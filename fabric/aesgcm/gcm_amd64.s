//go:build !purego

#include "textflag.h"

// AES-128-GCM (NIST SP 800-38D) with VAES and VPCLMULQDQ on 512-bit registers. See doc.go for the mathematics.
//
// Registers of seal and open:
//
//	R8       state: round keys at 0, powers of H at POWERS
//	SI, DI   source and destination
//	R10      octets left
//	R9       next power of H
//	Z16-Z26  round keys 0 to 10, in every lane
//	Z31      mask that reverses the octets of a lane
//	Z30      reduction constant
//	Z29      4 in the lowest 32 bits of each lane
//	Z28      the next four counter blocks, reversed
//	X27      hash so far, reversed; the upper lanes are zero
//	X15      E(J0)
//	Z8-Z10   products: low, middle, high
//	Z0-Z7, Z11-Z14  scratch

#define POWERS 176
#define TOP 20 // the highest power of H that is held; it lies first

DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

DATA first<>+0(SB)/8, $2
DATA first<>+8(SB)/8, $0
DATA first<>+16(SB)/8, $3
DATA first<>+24(SB)/8, $0
DATA first<>+32(SB)/8, $4
DATA first<>+40(SB)/8, $0
DATA first<>+48(SB)/8, $5
DATA first<>+56(SB)/8, $0
GLOBL first<>(SB), RODATA|NOPTR, $64

DATA one<>+0(SB)/8, $1
DATA one<>+8(SB)/8, $0
GLOBL one<>(SB), RODATA|NOPTR, $16

DATA four<>+0(SB)/8, $4
DATA four<>+8(SB)/8, $0
GLOBL four<>(SB), RODATA|NOPTR, $16

DATA poly<>+0(SB)/8, $0xc200000000000000
DATA poly<>+8(SB)/8, $0xc200000000000000
GLOBL poly<>(SB), RODATA|NOPTR, $16

// ROUND does one AES round with key k on four registers.
#define ROUND(k) \
	VAESENC k, Z0, Z0 \
	VAESENC k, Z1, Z1 \
	VAESENC k, Z2, Z2 \
	VAESENC k, Z3, Z3

// COUNTERS makes the next 16 counter blocks in Z0-Z3, with round key 0 added.
#define COUNTERS \
	VPSHUFB Z31, Z28, Z0  \
	VPADDD  Z29, Z28, Z28 \
	VPSHUFB Z31, Z28, Z1  \
	VPADDD  Z29, Z28, Z28 \
	VPSHUFB Z31, Z28, Z2  \
	VPADDD  Z29, Z28, Z28 \
	VPSHUFB Z31, Z28, Z3  \
	VPADDD  Z29, Z28, Z28 \
	VPXORQ  Z16, Z0, Z0   \
	VPXORQ  Z16, Z1, Z1   \
	VPXORQ  Z16, Z2, Z2   \
	VPXORQ  Z16, Z3, Z3

// KEYSTREAM4 makes 256 octets of key stream in Z0-Z3.
#define KEYSTREAM4 \
	COUNTERS \
	ROUND(Z17) \
	ROUND(Z18) \
	ROUND(Z19) \
	ROUND(Z20) \
	ROUND(Z21) \
	ROUND(Z22) \
	ROUND(Z23) \
	ROUND(Z24) \
	ROUND(Z25) \
	VAESENCLAST Z26, Z0, Z0 \
	VAESENCLAST Z26, Z1, Z1 \
	VAESENCLAST Z26, Z2, Z2 \
	VAESENCLAST Z26, Z3, Z3

// KEYSTREAM1 makes 64 octets of key stream in Z0.
#define KEYSTREAM1 \
	VPSHUFB Z31, Z28, Z0  \
	VPADDD  Z29, Z28, Z28 \
	VPXORQ  Z16, Z0, Z0   \
	VAESENC Z17, Z0, Z0   \
	VAESENC Z18, Z0, Z0   \
	VAESENC Z19, Z0, Z0   \
	VAESENC Z20, Z0, Z0   \
	VAESENC Z21, Z0, Z0   \
	VAESENC Z22, Z0, Z0   \
	VAESENC Z23, Z0, Z0   \
	VAESENC Z24, Z0, Z0   \
	VAESENC Z25, Z0, Z0   \
	VAESENCLAST Z26, Z0, Z0

// MULFIRST multiplies the four blocks of d with the four powers of p: the first of a sum.
#define MULFIRST(d, p) \
	VPCLMULQDQ $0x00, d, p, Z8  \
	VPCLMULQDQ $0x11, d, p, Z10 \
	VPCLMULQDQ $0x01, d, p, Z9  \
	VPCLMULQDQ $0x10, d, p, Z13 \
	VPXORQ Z13, Z9, Z9

// MULADD adds the products of the four blocks of d with the four powers of p.
#define MULADD(d, p) \
	VPCLMULQDQ $0x00, d, p, Z11 \
	VPCLMULQDQ $0x11, d, p, Z12 \
	VPCLMULQDQ $0x01, d, p, Z13 \
	VPCLMULQDQ $0x10, d, p, Z14 \
	VPXORQ Z11, Z8, Z8          \
	VPXORQ Z12, Z10, Z10        \
	VPTERNLOGQ $0x96, Z13, Z14, Z9

// REDUCE folds the products to one block in X27: first each lane modulo the polynomial, then all lanes.
#define REDUCE \
	VPCLMULQDQ $0x00, Z8, Z30, Z11     \
	VPSHUFD $0x4e, Z8, Z8              \
	VPTERNLOGQ $0x96, Z8, Z11, Z9      \
	VPCLMULQDQ $0x00, Z9, Z30, Z11     \
	VPSHUFD $0x4e, Z9, Z9              \
	VPTERNLOGQ $0x96, Z9, Z11, Z10     \
	VEXTRACTI64X4 $1, Z10, Y11         \
	VPXOR Y11, Y10, Y10                \
	VEXTRACTI128 $1, Y10, X11          \
	VPXOR X11, X10, X11                \
	VMOVDQA64 Z11, Z27

// MASK sets K1 for the first R10 octets of a register, at most 64. AX is all ones.
#define MASK \
	BZHIQ R10, AX, R11 \
	CMPQ R10, $64      \
	CMOVQGE AX, R11    \
	KMOVQ R11, K1

// START loads the constants and keys, makes E(J0) and the first counters, and takes in the additional data.
// In: R8 state, BX nonce, R10 octets, CX additional data, DX its length.
#define START \
	VBROADCASTI32X4 reverse<>(SB), Z31 \
	VBROADCASTI32X4 poly<>(SB), Z30    \
	VBROADCASTI32X4 four<>(SB), Z29    \
	VBROADCASTI32X4 0(R8), Z16         \
	VBROADCASTI32X4 16(R8), Z17        \
	VBROADCASTI32X4 32(R8), Z18        \
	VBROADCASTI32X4 48(R8), Z19        \
	VBROADCASTI32X4 64(R8), Z20        \
	VBROADCASTI32X4 80(R8), Z21        \
	VBROADCASTI32X4 96(R8), Z22        \
	VBROADCASTI32X4 112(R8), Z23       \
	VBROADCASTI32X4 128(R8), Z24       \
	VBROADCASTI32X4 144(R8), Z25       \
	VBROADCASTI32X4 160(R8), Z26       \
	VMOVQ (BX), X0                     \
	VPINSRD $2, 8(BX), X0, X0          \
	VMOVDQU reverse<>(SB), X1          \
	VPSHUFB X1, X0, X0                 \
	VPADDD one<>(SB), X0, X2           \
	VSHUFI64X2 $0, Z0, Z0, Z28         \
	VPADDD first<>(SB), Z28, Z28       \
	VPSHUFB X1, X2, X15                \
	VPXOR 0(R8), X15, X15              \
	VAESENC 16(R8), X15, X15           \
	VAESENC 32(R8), X15, X15           \
	VAESENC 48(R8), X15, X15           \
	VAESENC 64(R8), X15, X15           \
	VAESENC 80(R8), X15, X15           \
	VAESENC 96(R8), X15, X15           \
	VAESENC 112(R8), X15, X15          \
	VAESENC 128(R8), X15, X15          \
	VAESENC 144(R8), X15, X15          \
	VAESENCLAST 160(R8), X15, X15      \
	MOVQ $-1, AX                       \
	BZHIQ DX, AX, R11                  \
	KMOVQ R11, K1                      \
	VMOVDQU8.Z (CX), K1, Z4            \
	VPSHUFB Z31, Z4, Z4                \
	LEAQ 15(DX), R12                   \
	SHRQ $4, R12                       \ // blocks of additional data
	VPXORQ Z27, Z27, Z27

// FINISH takes in the lengths, reduces, and writes the tag to BX. In: R13 octets, DX octets of additional data;
// Z8-Z10 hold what is not reduced, X27 what is to be added to the last block.
#define FINISH \
	SHLQ $3, R13                                 \
	SHLQ $3, DX                                  \
	VMOVQ R13, X4                                \
	VPINSRQ $1, DX, X4, X4                       \
	VPXORQ Z27, Z4, Z4                           \
	VMOVDQU (POWERS+16*(TOP-1))(R8), X5          \
	MULADD(Z4, Z5)                               \
	REDUCE                                       \
	VMOVDQU reverse<>(SB), X1                    \
	VMOVDQA64 X27, X0                            \
	VPSHUFB X1, X0, X0                           \
	VPXOR X15, X0, X0                            \
	VMOVDQU X0, (BX)                             \
	VZEROALL                                     \
	VPXORQ Z16, Z16, Z16                         \
	VPXORQ Z17, Z17, Z17                         \
	VPXORQ Z18, Z18, Z18                         \
	VPXORQ Z19, Z19, Z19                         \
	VPXORQ Z20, Z20, Z20                         \
	VPXORQ Z21, Z21, Z21                         \
	VPXORQ Z22, Z22, Z22                         \
	VPXORQ Z23, Z23, Z23                         \
	VPXORQ Z24, Z24, Z24                         \
	VPXORQ Z25, Z25, Z25                         \
	VPXORQ Z26, Z26, Z26                         \
	VPXORQ Z27, Z27, Z27                         \
	VPXORQ Z28, Z28, Z28

// HEAD begins the hash with the additional data: by itself when whole rounds of 256 octets follow, in the
// sum of the tail when not. Out: R9 the power for the first block of the tail.
#define HEAD(separate, done) \
	MOVQ R10, R9                \
	ANDQ $255, R9               \
	ADDQ $15, R9                \
	SHRQ $4, R9                 \ // blocks of the tail
	NEGQ R9                     \
	ADDQ $(TOP-1), R9           \
	CMPQ R10, $256              \
	JAE separate                \
	SUBQ R12, R9                \
	SHLQ $4, R9                 \
	VMOVDQU64 POWERS(R8)(R9*1), Z5 \
	MULFIRST(Z4, Z5)            \
	SHLQ $4, R12                \
	ADDQ R12, R9                \
	LEAQ POWERS(R8)(R9*1), R9   \
	JMP done

// ALONE is HEAD for additional data by themselves.
#define ALONE \
	MOVQ $TOP, R11                   \
	SUBQ R12, R11                    \
	SHLQ $4, R11                     \
	VMOVDQU64 POWERS(R8)(R11*1), Z5  \
	MULFIRST(Z4, Z5)                 \
	REDUCE                           \
	SHLQ $4, R9                      \
	LEAQ POWERS(R8)(R9*1), R9

// HASH4 takes in the 16 blocks of Z4-Z7.
#define HASH4 \
	VPSHUFB Z31, Z4, Z4  \
	VPSHUFB Z31, Z5, Z5  \
	VPSHUFB Z31, Z6, Z6  \
	VPSHUFB Z31, Z7, Z7  \
	VPXORQ  Z27, Z4, Z4  \
	VMOVDQU64 (POWERS+16*(TOP-4))(R8), Z0  \
	MULFIRST(Z7, Z0)     \
	VMOVDQU64 (POWERS+16*(TOP-8))(R8), Z0  \
	MULADD(Z6, Z0)       \
	VMOVDQU64 (POWERS+16*(TOP-12))(R8), Z0 \
	MULADD(Z5, Z0)       \
	VMOVDQU64 (POWERS+16*(TOP-16))(R8), Z0 \
	MULADD(Z4, Z0)       \
	REDUCE

// HASH1 takes in the blocks of Z4, with the powers at R9.
#define HASH1 \
	VPSHUFB Z31, Z4, Z4    \
	VPXORQ Z27, Z4, Z4     \
	VPXORQ Z27, Z27, Z27   \
	VMOVDQU64 (R9), Z5     \
	MULADD(Z4, Z5)         \
	ADDQ $64, R9

// ADVANCE goes on by n octets.
#define ADVANCE(n) \
	ADDQ $n, SI \
	ADDQ $n, DI \
	SUBQ $n, R10

// NOTHING is a sum of no products.
#define NOTHING \
	VPXORQ Z8, Z8, Z8 \
	VPXORQ Z9, Z9, Z9 \
	VPXORQ Z10, Z10, Z10

// ARGUMENTS are those of seal and open, for START.
#define ARGUMENTS \
	MOVQ s+0(FP), R8       \
	MOVQ nonce+8(FP), BX   \
	MOVQ dst+16(FP), DI    \
	MOVQ src+24(FP), SI    \
	MOVQ n+32(FP), R10     \
	MOVQ aad+40(FP), CX    \
	MOVQ aadLen+48(FP), DX \
	MOVQ R10, R13

// func seal(s *state, nonce, dst, src *byte, n int, aad *byte, aadLen int, tag *byte)
TEXT ·seal(SB), NOSPLIT, $0-64
	ARGUMENTS
	START
	HEAD(separate, tail)

separate:
	ALONE

round:
	KEYSTREAM4
	VPXORQ 0(SI), Z0, Z4
	VPXORQ 64(SI), Z1, Z5
	VPXORQ 128(SI), Z2, Z6
	VPXORQ 192(SI), Z3, Z7
	VMOVDQU64 Z4, 0(DI)
	VMOVDQU64 Z5, 64(DI)
	VMOVDQU64 Z6, 128(DI)
	VMOVDQU64 Z7, 192(DI)
	HASH4
	ADVANCE(256)
	CMPQ R10, $256
	JAE round
	NOTHING

tail:
	TESTQ R10, R10
	JLE finish
	MASK
	KEYSTREAM1
	VMOVDQU8.Z (SI), K1, Z4
	VPXORQ Z0, Z4, Z4
	VMOVDQU8 Z4, K1, (DI)
	VMOVDQU8.Z Z4, K1, Z4
	HASH1
	ADVANCE(64)
	JMP tail

finish:
	MOVQ tag+56(FP), BX
	FINISH
	RET

// func open(s *state, nonce, dst, src *byte, n int, aad *byte, aadLen int, tag *byte)
TEXT ·open(SB), NOSPLIT, $0-64
	ARGUMENTS
	START
	HEAD(separate, tail)

separate:
	ALONE

round:
	KEYSTREAM4
	VMOVDQU64 0(SI), Z4
	VMOVDQU64 64(SI), Z5
	VMOVDQU64 128(SI), Z6
	VMOVDQU64 192(SI), Z7
	VPXORQ Z4, Z0, Z0
	VPXORQ Z5, Z1, Z1
	VPXORQ Z6, Z2, Z2
	VPXORQ Z7, Z3, Z3
	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	HASH4
	ADVANCE(256)
	CMPQ R10, $256
	JAE round
	NOTHING

tail:
	TESTQ R10, R10
	JLE finish
	MASK
	KEYSTREAM1
	VMOVDQU8.Z (SI), K1, Z4
	VPXORQ Z4, Z0, Z0
	VMOVDQU8 Z0, K1, (DI)
	HASH1
	ADVANCE(64)
	JMP tail

finish:
	MOVQ tag+56(FP), BX
	FINISH
	RET

// KEY makes the next round key in X0 and stores it.
#define KEY(rcon, at) \
	AESKEYGENASSIST $rcon, X0, X1 \
	PSHUFD $0xff, X1, X1          \
	MOVO X0, X2                   \
	PSLLDQ $4, X2                 \
	PXOR X2, X0                   \
	PSLLDQ $4, X2                 \
	PXOR X2, X0                   \
	PSLLDQ $4, X2                 \
	PXOR X2, X0                   \
	PXOR X1, X0                   \
	MOVOU X0, at(R8)

// func expand(keys *[roundKeys][16]byte, key, h *byte)
TEXT ·expand(SB), NOSPLIT, $0-24
	MOVQ keys+0(FP), R8
	MOVQ key+8(FP), AX
	MOVQ h+16(FP), BX
	MOVOU (AX), X0
	MOVOU X0, 0(R8)
	MOVO X0, X3
	KEY(0x01, 16)
	AESENC X0, X3
	KEY(0x02, 32)
	AESENC X0, X3
	KEY(0x04, 48)
	AESENC X0, X3
	KEY(0x08, 64)
	AESENC X0, X3
	KEY(0x10, 80)
	AESENC X0, X3
	KEY(0x20, 96)
	AESENC X0, X3
	KEY(0x40, 112)
	AESENC X0, X3
	KEY(0x80, 128)
	AESENC X0, X3
	KEY(0x1b, 144)
	AESENC X0, X3
	KEY(0x36, 160)
	AESENCLAST X0, X3
	MOVOU X3, (BX) // E(0): the block of zeros is the first round key after its addition
	PXOR X0, X0
	PXOR X1, X1
	PXOR X2, X2
	PXOR X3, X3
	RET

// func mul(dst, a, b *byte)
TEXT ·mul(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ a+8(FP), AX
	MOVQ b+16(FP), BX
	VBROADCASTI32X4 poly<>(SB), Z30
	VMOVDQU (AX), X4
	VMOVDQU (BX), X5
	MULFIRST(Z4, Z5)
	REDUCE
	VMOVDQA64 X27, X0
	VMOVDQU X0, (DI)
	VZEROALL
	VPXORQ Z27, Z27, Z27
	RET
