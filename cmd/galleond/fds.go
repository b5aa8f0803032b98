package main

import (
	"fmt"
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
	fdStatus      = "status" // the write end of a pipe on which a child says that it is ready and alive
)

// fdsVar carries name=number pairs to a child or to a successor.
const fdsVar = "GALLEON_FDS"

// handed reads the descriptors that this process was started with. They are closed on exec until
// handed on again.
func handed() (map[string]*os.File, error) {
	files := map[string]*os.File{}
	list := os.Getenv(fdsVar)
	if list == "" {
		return files, nil
	}
	if err := os.Unsetenv(fdsVar); err != nil {
		return nil, err
	}
	for _, pair := range strings.Split(list, ",") {
		name, num, _ := strings.Cut(pair, "=")
		fd, err := strconv.Atoi(num)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("descriptor %q in %s: want name=number", pair, fdsVar)
		}
		syscall.CloseOnExec(fd)
		files[name] = os.NewFile(uintptr(fd), name)
	}
	return files, nil
}

// fdList gives the variable for descriptors in the order in which they are passed, first being number first.
func fdList(names []string, number func(i int) int) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = n + "=" + strconv.Itoa(number(i))
	}
	return fdsVar + "=" + strings.Join(parts, ",")
}

// need takes a descriptor that must be there.
func need(files map[string]*os.File, name string) (*os.File, error) {
	f, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("descriptor %s was not handed over; this role is started by galleond, not by hand", name)
	}
	return f, nil
}
