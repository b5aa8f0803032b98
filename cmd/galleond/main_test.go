//go:build linux

package main

import (
	"os"
	"testing"

	"github.com/galleon-net/galleon/tests/lab"
)

// asDaemon in the environment makes the test's binary the daemon: its children and its upgrades are the same
// binary with the same environment, so they are daemons too.
const asDaemon = "GALLEOND_TEST_AS_DAEMON"

// refused is why the lab cannot be entered, which is a reason to skip and not to fail.
var refused error

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		main()
		return
	}
	refused = lab.Enter(os.Args[1:])
	os.Exit(m.Run())
}

func needLab(t testing.TB) {
	t.Helper()
	if refused != nil {
		t.Skip(refused)
	}
}
