package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// How the two children share the processors when there are not enough: packets and probes first. A probe
// that waits behind a copy of weights looks like a link that is down.
const (
	niceForward = -10 // where this account may
	niceControl = 10
)

// renice sets every thread of this process; those to come inherit it. Raising the priority needs a
// privilege that the account may not have: then it stays as it is.
func renice(n int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, n)
		}
	}
}
