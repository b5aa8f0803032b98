package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/klauspost/compress/huff0"
	"lukechampine.com/blake3"

	"github.com/galleon-net/galleon/replication/chunk"
)

// zstd runs the program over data and gives how many bytes came out; with base, as a patch.
func (o *options) zstd(ctx context.Context, data, base []byte, args ...string) (int, error) {
	if o.zstdPath == "" {
		return 0, fmt.Errorf("the program zstd is missing; Debian's package has its name")
	}
	dir, err := os.MkdirTemp("", "galleon-bench-weights-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	args = append([]string{"-q", "-c", "--single-thread"}, args...)
	if base != nil {
		file := filepath.Join(dir, "base")
		if err := os.WriteFile(file, base, 0o600); err != nil {
			return 0, err
		}
		args = append(args, "--patch-from="+file, "--long=27")
	}
	file := filepath.Join(dir, "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return 0, err
	}
	var n counter
	cmd := exec.CommandContext(ctx, o.zstdPath, append(args, file)...)
	cmd.Stdout = &n
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("zstd: %w %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return int(n), nil
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// cdc gives how many bytes are in chunks that the older file does not have.
func cdc(data, base []byte) (n int, err error) {
	seen := map[[32]byte]bool{}
	each := func(b []byte) error {
		sum := blake3.Sum256(b)
		if !seen[sum] {
			seen[sum] = true
			n += len(b)
		}
		return nil
	}
	if err := chunk.Split(bytes.NewReader(base), each); err != nil {
		return 0, err
	}
	n = 0
	err = chunk.Split(bytes.NewReader(data), each)
	return n, err
}

// zipnn is the plain way: exponents by huff0 in blocks of 128 KiB, the rest as it is. It is what the data is judged by.
func zipnn(data []byte) (n int) {
	exponents, rest := planes(data)
	s := &huff0.Scratch{Reuse: huff0.ReusePolicyAllow}
	for len(exponents) > 0 {
		part := exponents[:min(len(exponents), 128<<10)]
		exponents = exponents[len(part):]
		if out, _, err := huff0.Compress4X(part, s); err == nil {
			n += len(out)
		} else {
			n += len(part)
		}
	}
	return n + len(rest)
}

// zipLLM is the other plain way: exclusive or with the base, then both planes by zstd 3. (It takes each MiB by itself; whole planes,
// as here, come out a little shorter.)
func (o *options) zipLLM(ctx context.Context, data, base []byte) (int, error) {
	x := bytes.Clone(data)
	for i := range min(len(x), len(base)) {
		x[i] ^= base[i]
	}
	exponents, rest := planes(x)
	a, err := o.zstd(ctx, exponents, nil, "-3")
	if err != nil {
		return 0, err
	}
	b, err := o.zstd(ctx, rest, nil, "-3")
	return a + b, err
}

// planes splits a file of BF16 elements; its header is split along with them, which costs a few hundred bytes.
func planes(data []byte) (exponents, rest []byte) {
	for i := 0; i+2 <= len(data); i += 2 {
		u := binary.LittleEndian.Uint16(data[i:])
		exponents = append(exponents, byte(u>>7))
		rest = append(rest, byte(u>>8&0x80|u&0x7f))
	}
	return exponents, rest
}

// findZstd finds the program, and installs Debian's package where that can be done.
func findZstd(ctx context.Context, log io.Writer) string {
	if p, err := exec.LookPath("zstd"); err == nil {
		return p
	}
	if os.Getuid() == 0 {
		if out, err := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "zstd").CombinedOutput(); err != nil {
			fmt.Fprintf(log, "bench-weights: install zstd: %v %s\n", err, bytes.TrimSpace(out))
		}
	}
	p, _ := exec.LookPath("zstd")
	return p
}
