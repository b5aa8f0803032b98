package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile keeps two daemons from one data directory. The kernel holds the lock for as long as the supervisor
// or one of its children lives; the number in the file is the supervisor's, for messages.
const lockFile = "galleond.lock"

// lockPoll is how often a lock is tried whose supervisor is dead: its children are still ending.
const lockPoll = 50 * time.Millisecond

// lock takes the data directory. After a crash of the supervisor it waits for what that left running, which
// has been told to end by the kernel, and has sockets open and objects half-written until it has.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	for deadline := time.Now().Add(stopGrace + time.Second); ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if pid := owner(f); pid != 0 && runs(pid) {
			f.Close()
			return nil, fmt.Errorf("data_dir %s is in use by another galleond, process %d; stop that one first, or give this one a data_dir of its own", dir, pid)
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("data_dir %s is still in use by a child of a galleond that is gone; see: fuser %s", dir, path)
		}
		time.Sleep(lockPoll)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// owner reads whose lock it is, 0 when that is not known.
func owner(f *os.File) int {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func runs(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}
