package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// peakKiB is the most memory that this process had, as Linux counts it.
func peakKiB() (int, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// peak runs a case in a process of its own and gives the most memory it had, in MiB.
func peak(r row) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "galleon-bench-weights-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file, base := filepath.Join(dir, "file"), filepath.Join(dir, "base")
	if err := errors.Join(os.WriteFile(file, r.file, 0o600), os.WriteFile(base, r.base, 0o600)); err != nil {
		return 0, err
	}
	cmd := exec.Command(self, workerMode, file, base)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%w %s", err, said.String())
	}
	kib, err := strconv.Atoi(strings.TrimSpace(string(out)))
	return float64(kib) / 1024, err
}
