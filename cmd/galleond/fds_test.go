//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDescriptorsOfOneName: a port that is several sockets arrives as such, in order, however it was written.
func TestDescriptorsOfOneName(t *testing.T) {
	fd := func() int {
		n, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a, b, c, d := fd(), fd(), fd(), fd()
	t.Setenv(fdsVar, strings.Join([]string{
		fdEntry("udp", 2, c, "[::]:1"), fdEntry("udp", 0, a, "[::]:1"), fdEntry("tun", 0, d, ""), fdEntry("udp", 1, b, "[::]:1"),
	}, ","))
	files, err := handed()
	if err != nil {
		t.Fatal(err)
	}
	defer files["udp"].close()
	defer files["tun"].close()
	var got []int
	all, err := needAll(files, "udp")
	for _, f := range all {
		raw, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(n uintptr) { got = append(got, int(n)) })
	}
	if err != nil || len(got) != 3 || got[0] != a || got[1] != b || got[2] != c || files["udp"].spec != "[::]:1" || len(files["tun"].all()) != 1 {
		t.Errorf("handed %v, %v, want %v of udp and one of tun: %+v", got, err, []int{a, b, c}, files)
	}
	if _, err := needAll(files, "nothing"); err == nil {
		t.Error("found what was not handed over")
	}
}

func TestDescriptorsThatAreMissing(t *testing.T) {
	for _, list := range []string{"udp.1=900=", "udp=900=,udp.2=901=", "udp=900=,udp.x=901=", "udp=900=,udp.0=901=", "udp=2=", "udp=x=", "udp=900=%"} {
		t.Setenv(fdsVar, list)
		if files, err := handed(); err == nil {
			t.Errorf("%s: handed %v", list, files)
		}
	}
}
