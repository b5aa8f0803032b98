//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSweep: what a crash leaves is removed by the next run, what failed is kept until it is asked for, and what runs
// is left alone.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	make := func() *workspace {
		t.Helper()
		w, err := newWorkspace()
		if err != nil {
			t.Fatal(err)
		}
		write(t, w.path("ap-tokyo", "data", "000001.sst"), "gigabytes")
		write(t, w.path("logs", "ap-tokyo.log"), "why")
		return w
	}
	running, crashed, failed, done := make(), make(), make(), make()
	defer running.lock.Close()
	crashed.lock.Close() // as the kernel does
	if err := failed.keepLogs(); err != nil {
		t.Fatal(err)
	}
	if err := done.remove(); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(os.TempDir(), workPattern+"stranger")
	if err := os.Mkdir(stranger, 0o755); err != nil {
		t.Fatal(err)
	}
	if n, err := sweep(false); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want the crashed one", n, err)
	}
	for dir, want := range map[string]bool{running.dir: true, crashed.dir: false, failed.dir: true, done.dir: false, stranger: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v, should be there: %v", dir, err, want)
		}
	}
	if _, err := os.Stat(failed.path("logs", "ap-tokyo.log")); err != nil {
		t.Errorf("the log of a failed run: %v", err)
	}
	if _, err := os.Stat(failed.path("ap-tokyo", "data")); err == nil {
		t.Error("the data of a failed run were kept")
	}
	if n, err := sweep(true); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want the failed one", n, err)
	}
}

func TestWorkspaceRefusesLongPaths(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if _, err := newWorkspace(); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v, want TMPDIR named", err)
	}
	if left, _ := filepath.Glob(filepath.Join(long, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, "one\ntwo\nthree\n")
	for n, want := range map[int]string{1: "three", 2: "two\nthree", 9: "one\ntwo\nthree"} {
		if got := tail(path, n); got != want {
			t.Errorf("the last %d: %q", n, got)
		}
	}
	if got := tail(path+"x", 1); got != "" {
		t.Errorf("of no file: %q", got)
	}
}
