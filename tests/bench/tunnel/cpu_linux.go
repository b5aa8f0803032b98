package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// userHZ is the unit of the times in /proc/PID/stat: a hundredth of a second on every Linux of today.
const userHZ = 100

// process is a line of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration // user and system time of all its threads
	over        bool          // it has ended, and waits to be noticed
}

// parseStat reads it (proc_pid_stat(5)). The name, in parentheses, may hold anything.
func parseStat(b []byte) (process, error) {
	var p process
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return p, fmt.Errorf("read process %q: no name", b)
	}
	fields := bytes.Fields(b[end+1:])
	const parent, utime, stime = 1, 11, 12 // counted from the field behind the name
	if len(fields) <= stime {
		return p, fmt.Errorf("read process %q: %d fields", b, len(fields))
	}
	var err error
	number := func(text []byte) int64 {
		n, e := strconv.ParseInt(string(text), 10, 64)
		if e != nil && err == nil {
			err = e
		}
		return n
	}
	p.pid, p.parent = int(number(bytes.TrimSpace(b[:open]))), int(number(fields[parent]))
	p.over = fields[0][0] == 'Z' || fields[0][0] == 'X'
	p.cpu = time.Duration(number(fields[utime])+number(fields[stime])) * time.Second / userHZ
	return p, err
}

// processes reads those of this PID namespace.
func processes() (map[int]process, error) {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	for _, d := range dir {
		if _, err := strconv.Atoi(d.Name()); err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + d.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		if p, err := parseStat(b); err == nil {
			all[p.pid] = p
		}
	}
	return all, nil
}

// family gives a process and all that descend from it.
func family(all map[int]process, root int) []int {
	found := []int{root}
	for i := 0; i < len(found); i++ {
		for _, p := range all {
			if p.parent == found[i] {
				found = append(found, p.pid)
			}
		}
	}
	return found
}

// descendants is family of now.
func descendants(root int) []int {
	all, err := processes()
	if err != nil {
		return nil
	}
	return family(all, root)
}

// gone waits until none of some processes works any more.
func gone(pids []int) {
	for end := time.Now().Add(goneWithin); time.Now().Before(end); time.Sleep(gonePoll) {
		all, err := processes()
		if err != nil {
			return
		}
		alive := slices.ContainsFunc(pids, func(pid int) bool { p, ok := all[pid]; return ok && !p.over })
		if !alive {
			return
		}
	}
}

// Limits of that wait.
const (
	goneWithin = 5 * time.Second
	gonePoll   = 5 * time.Millisecond
)

// cpu is what the daemons of both ends have used so far.
func (s *system) cpu() (time.Duration, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, e := range []*end{s.a, s.b} {
		for _, root := range e.pids {
			for _, pid := range family(all, root) {
				sum += all[pid].cpu
			}
		}
	}
	return sum, nil
}
