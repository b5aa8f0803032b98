package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// workspace is the directory that holds all that a run makes:
//
//	galleon-demo-123/
//	  lock           held for as long as the run lives, so that others can tell what a crash left behind
//	  failed         there when a step failed: kept until `make lab-clean`
//	  demo.sock      the lab's control socket, for `demo exec` and `demo link`
//	  logs/NAME.log  of every router
//	  NAME/          its configuration, data and sockets
//	  input/         files that the demo makes to upload
type workspace struct {
	dir  string
	lock *os.File
}

const (
	workPattern = "galleon-demo-"
	lockName    = "lock"
	failedName  = "failed"
	socketName  = "demo.sock"
)

// maxSocketPath is what a Unix socket's path may have in Linux (unix(7)), without the closing zero.
const maxSocketPath = 107

func newWorkspace() (*workspace, error) {
	dir, err := os.MkdirTemp("", workPattern)
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	w := &workspace{dir: dir}
	if longest := len(w.path(bangkokB.name, "run", "galleon.sock")); longest > maxSocketPath {
		w.remove()
		return nil, fmt.Errorf("%s is too long for the path of a socket: set TMPDIR to a shorter directory", os.TempDir())
	}
	if w.lock, err = os.Create(w.path(lockName)); err == nil {
		err = unix.Flock(int(w.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	for _, sub := range []string{"logs", "input"} {
		if err == nil {
			err = os.Mkdir(w.path(sub), 0o755)
		}
	}
	if err != nil {
		w.remove()
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	return w, nil
}

func (w *workspace) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *workspace) logs() string { return w.path("logs") }

// remove ends the workspace without a trace.
func (w *workspace) remove() error {
	if w.lock != nil {
		w.lock.Close()
	}
	return os.RemoveAll(w.dir)
}

// keepLogs ends the workspace but for what explains a failure: logs and configuration, not gigabytes of data.
func (w *workspace) keepLogs() error {
	defer w.lock.Close()
	err := os.WriteFile(w.path(failedName), nil, 0o644)
	entries, readErr := os.ReadDir(w.dir)
	err = errors.Join(err, readErr)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "logs" {
			err = errors.Join(err, os.RemoveAll(w.path(e.Name(), "data")), os.RemoveAll(w.path(e.Name(), "run")))
		}
	}
	return errors.Join(err, os.RemoveAll(w.path("input")))
}

// room refuses to begin what the disk cannot hold.
func (w *workspace) room(need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(w.dir, &st); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", w.dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Errorf("%s has %s free, and the demo needs %s: make room, or set TMPDIR to a directory with more", os.TempDir(), size(free), size(need))
	}
	return nil
}

// sweep removes what crashed runs of this user left behind, and failed ones too when all is set. It gives how many.
func sweep(all bool) (removed int, err error) {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), workPattern+"*"))
	if err != nil {
		return 0, err
	}
	for _, dir := range found {
		ok, sweepErr := sweepOne(dir, all)
		err = errors.Join(err, sweepErr)
		if ok {
			removed++
		}
	}
	return removed, err
}

func sweepOne(dir string, all bool) (bool, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false, nil // somebody else's, or nothing of ours
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false, nil // running
	}
	if _, err := os.Stat(filepath.Join(dir, failedName)); err == nil && !all {
		return false, nil
	}
	return true, os.RemoveAll(dir)
}

// tail is the last lines of a file, for a message.
func tail(path string, lines int) string {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(most, info.Size()))
	n, _ := f.ReadAt(b, max(0, info.Size()-most))
	all := strings.Split(strings.TrimRight(string(b[:n]), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
