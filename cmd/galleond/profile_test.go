package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Two signals make a profile, and without the variable nobody listens.
func TestProfile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(profileVar, "")
	profiling("forward", slog.Default())()
	t.Setenv(profileVar, dir)
	stop := profiling("forward", slog.Default())
	defer stop()
	count := func(pattern string) int {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for _, pattern := range []string{"unfinished-*", "forward-*.pprof"} {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); count(pattern) != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s", pattern)
			}
		}
	}
}
