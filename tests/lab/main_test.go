//go:build linux

package lab

import (
	"os"
	"testing"
)

// refused is why the lab cannot be entered, which is a reason to skip and not to fail.
var refused error

func TestMain(m *testing.M) {
	refused = Enter(os.Args[1:])
	os.Exit(m.Run())
}

func needLab(t testing.TB) {
	t.Helper()
	if refused != nil {
		t.Skip(refused)
	}
}
