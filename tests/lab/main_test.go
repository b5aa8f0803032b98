//go:build linux

package lab

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

// refused is why the lab cannot be entered, which is a reason to skip and not to fail.
var refused error

func TestMain(m *testing.M) {
	if helper := helpers[os.Getenv(helperMark)]; helper != nil {
		helper()
	}
	refused = Enter(os.Args[1:])
	os.Exit(m.Run())
}

func needLab(t testing.TB) {
	t.Helper()
	if refused != nil {
		t.Skip(refused)
	}
}

// twoSites builds hangzhou, with a host, and tokyo.
func twoSites(t testing.TB) *Lab {
	t.Helper()
	needLab(t)
	l, err := New(Topology{Seed: 1, Sites: []SiteSpec{
		{Name: "hangzhou", Zone: "cn-hangzhou", Addresses: addrs("198.18.1.1", "2001:2:0:1::1"),
			Hosts: []HostSpec{{Name: "web", Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.10/24"), netip.MustParsePrefix("fd10:1::10/64")}}}},
		{Name: "tokyo", Zone: "ap-tokyo", Addresses: addrs("198.18.2.1", "2001:2:0:2::1")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func addrs(text ...string) (a []netip.Addr) {
	for _, s := range text {
		a = append(a, netip.MustParseAddr(s))
	}
	return a
}

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
