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

// fdsVar carries name=number=spec triples to a child or to a successor.
const fdsVar = "GALLEON_FDS"

// held is a descriptor and what it was opened for, so that a successor with another configuration knows
// whether it still fits.
type held struct {
	file *os.File
	spec string
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
		files[name] = held{os.NewFile(uintptr(fd), name), spec}
	}
	return files, nil
}

// fdEntry is one descriptor in the variable.
func fdEntry(name string, fd int, spec string) string {
	return name + "=" + strconv.Itoa(fd) + "=" + url.QueryEscape(spec)
}

// need takes a descriptor that must be there.
func need(files map[string]held, name string) (*os.File, error) {
	h, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("descriptor %s was not handed over; this role is started by galleond, not by hand", name)
	}
	return h.file, nil
}
