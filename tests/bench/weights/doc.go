// Command weights measures how few bytes model weights take on the wire, and how fast they are coded, beside zstd and
// content-defined chunks: `make bench-weights`. Everything runs on one core.
//
// # The cases
//
// All are files: safetensors or GGUF of a few tensors, -size MiB together. Weights are normal, each tensor with a sigma of
// its own between 0.01 and 0.04, as initialisers and trained models have; cast to BF16 their exponents then have an entropy of
// 2.5 to 2.6 bits, and an exponent-and-rest split with huff0 must come out at 66 to 68 % (the column base; the table says so when it
// does not).
//
//	bf16, f32, f16, fp8-e4m3, fp8-e5m2   the same weights in each type, nothing known at the destination
//	gguf-q8_0, gguf-q4_0, gguf-q4_k      quantised as ggml does it, blocks with scales
//	rl-1, rl-7   a reinforcement-learning step: F32 master weights, an update lr*m/sqrt(v) as Adam makes it, and the cast to BF16
//	             before and after. Where gradients are mostly noise, m/sqrt(v) is normal with sqrt((1-b1)/(1+b1)) = 0.23
//	             for b1 = 0.9. Two learning rates: one leaves 99 % of the elements as they were, the other 93 %
//	tune         a full fine-tune: every master weight moved by a normal step of 3.2e-4. A run of T steps at lr moves a weight by
//	             lr*sqrt(T) if gradients are noise: 1e-5 and 1,000 steps, common for supervised fine-tuning. It is 0.8 to 3 % of
//	             the weights' own size
//	lora         rank 16 merged into the tensors that adapters usually are on (q and v, two of seven), the product's size 2 % of the weights'
//	reshard      the same tensors under other names, in another order, two of them cut along rows and one along columns
//	noise        random bytes: what is lost where nothing can be gained
//	npm-*        what packages of the npm registry ship as models: the files as they are, joined (largest first, up to -size MiB)
//	npm-step     two versions of one of them, the older at the destination
//
// # The columns
//
//	galleon   recipe and frames, everything that goes over the wire
//	zstd3, zstd19, patch   the zstd program of Debian: levels 3 and 19, and 19 with --patch-from the older file (--long as needed)
//	cdc       package chunk alone: chunks of about 64 KiB that the older file does not have
//	base      exponents by huff0 in blocks of 128 KiB, the rest as it is (ZipNN's way); BF16 only
//	zipllm    exclusive or with the older file, exponents and the rest apart, zstd 3 each (BitX's way); BF16 with an older file only
//	index     MB/s of the pass that names pieces when a file comes in; a store makes it once, at PUT
//	encode, decode  MB/s of the file's bytes, median of -rounds, from memory to memory. Encode begins with an index; decode checks every piece and all
//	          of what the destination already had by BLAKE3
//	peak      MiB: the most memory of a process that indexes, encodes and decodes from files, with Go's runtime
//
// A program or package that cannot be had is reported as missing, and its figures are null.
package main
