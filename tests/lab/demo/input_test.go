package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func keysOf(in input) string {
	var k []string
	for _, it := range in.items {
		k = append(k, it.key)
	}
	return strings.Join(k, " ")
}

func TestGatherTree(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "one.txt"), "1")
	write(t, filepath.Join(dir, "zwei.txt"), "22")
	if err := os.Symlink("zwei.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	in, err := gather(dir, "input/")
	if err != nil || keysOf(in) != "input/a/one.txt input/zwei.txt" || in.bytes() != 3 || in.skipped != 1 {
		t.Errorf("%+v, %v", in, err)
	}
	link := filepath.Join(t.TempDir(), "tree")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if in, err := gather(link, "input/"); err != nil || keysOf(in) != "input/a/one.txt input/zwei.txt" {
		t.Errorf("through a link: %+v, %v", in, err)
	}
}

func TestGatherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.bin")
	write(t, path, "weights")
	in, err := gather(path, "input/")
	if err != nil || keysOf(in) != "input/model.bin" || in.bytes() != 7 {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestGatherRefuses(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "there is no file in",
		"/dev/null":                   "neither a file nor a directory",
	} {
		if _, err := gather(path, ""); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "INPUT") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	write(t, filepath.Join(dir, strings.Repeat("x", 200), strings.Repeat("y", 200), strings.Repeat("z", 200), strings.Repeat("v", 200), strings.Repeat("w", 250)), "deep")
	if _, err := gather(dir, ""); err == nil || !strings.Contains(err.Error(), "cannot be an object's key") {
		t.Errorf("a key that is too long: %v", err)
	}
}
