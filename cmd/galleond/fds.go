package main

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Names of the descriptors that the supervisor holds and hands on.
const (
	fdForwardUDP  = "forward-udp"
	fdControlUDP  = "control-udp"
	fdTun         = "tun"
	fdForwardSock = "forward-sock"
	fdAdminSock   = "admin-sock"
	fdS3          = "s3"
	fdMetrics     = "metrics"
	fdLock        = "lock"   // of the data directory, locked for as long as any of the processes lives
	fdConfig      = "config" // the configuration that the supervisor has read
	fdStatus      = "status" // the write end of a pipe on which a child says that it is ready and alive
)

// fdsVar carries name=number=spec triples to a child or to a successor. A port that is several sockets has
// as many: forward-udp, forward-udp.1, forward-udp.2 and so on.
const fdsVar = "GALLEON_FDS"

// held is what has been opened and what for, so that a successor with another configuration knows whether it
// still fits.
type held struct {
	file *os.File
	more []*os.File // further descriptors of the same thing; their order counts
	spec string
}

func (h held) all() []*os.File { return append([]*os.File{h.file}, h.more...) }

func (h held) close() {
	for _, f := range h.all() {
		f.Close()
	}
}

// handed reads the descriptors that this process was started with. They are closed on exec until
// handed on again.
func handed() (map[string]held, error) {
	files := map[string]held{}
	list := os.Getenv(fdsVar)
	if list == "" {
		return files, nil
	}
	if err := os.Unsetenv(fdsVar); err != nil {
		return nil, err
	}
	more := map[string]map[int]*os.File{}
	for _, triple := range strings.Split(list, ",") {
		name, rest, _ := strings.Cut(triple, "=")
		num, spec, _ := strings.Cut(rest, "=")
		fd, err := strconv.Atoi(num)
		if err == nil {
			spec, err = url.QueryUnescape(spec)
		}
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("descriptor %q in %s: want name=number=spec", triple, fdsVar)
		}
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		base, part, numbered := strings.Cut(name, ".")
		if !numbered {
			files[name] = held{file: f, spec: spec}
			continue
		}
		i, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("descriptor %q in %s: want a number after the point", triple, fdsVar)
		}
		if more[base] == nil {
			more[base] = map[int]*os.File{}
		}
		more[base][i] = f
	}
	return files, gather(files, more)
}

// gather adds to files what came under the same names with a number, from 1 on.
func gather(files map[string]held, more map[string]map[int]*os.File) error {
	for name, numbered := range more {
		h, ok := files[name]
		for i := range len(numbered) {
			f := numbered[i+1]
			if f == nil || !ok {
				return fmt.Errorf("descriptors %s in %s: not all were handed over; this role is started by galleond, not by hand", name, fdsVar)
			}
			h.more = append(h.more, f)
		}
		files[name] = h
	}
	return nil
}

// fdEntry is one descriptor in the variable: the i-th of its name.
func fdEntry(name string, i, fd int, spec string) string {
	if i > 0 {
		name += "." + strconv.Itoa(i)
	}
	return name + "=" + strconv.Itoa(fd) + "=" + url.QueryEscape(spec)
}

// need takes a descriptor that must be there.
func need(files map[string]held, name string) (*os.File, error) {
	all, err := needAll(files, name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// needAll takes all descriptors of a name that must be there.
func needAll(files map[string]held, name string) ([]*os.File, error) {
	h, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("descriptor %s was not handed over; this role is started by galleond, not by hand", name)
	}
	return h.all(), nil
}
