package tun

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingDeviceNode(t *testing.T) {
	_, err := openAt(filepath.Join(t.TempDir(), "tun"), "galleon0", Options{}, Offloads{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{"modprobe tun", "--device"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestNotADeviceNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tun")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAt(path, "galleon0", Options{}, Offloads{}); err == nil {
		t.Fatal("made a device of a plain file")
	}
}
