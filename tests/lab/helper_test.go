//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// helperMark makes the test binary play another program, named by its value.
const helperMark = "GALLEON_LAB_TEST_HELPER"

var helpers map[string]func()

func init() {
	helpers = map[string]func(){
		"hold": func() { select {} },
		"exit": func() {
			mustEnter()
			os.Exit(7)
		},
		"signal":   signalHelper,
		"crash":    crashHelper,
		"no-tun":   noTUNHelper,
		"no-ns":    noNamespacesHelper,
		"no-ns-in": func() { report(Enter(nil)) },
		"ordinary": ordinaryHelper,
		"smoke":    smokeHelper,
	}
}

// helper gives the command that plays one.
func helper(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperMark+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

// report prints an error and ends the helper.
func report(err error) {
	fmt.Println(err)
	os.Exit(3)
}

func mustEnter() {
	if err := Enter(nil); err != nil {
		report(err)
	}
}

func signalHelper() {
	mustEnter()
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM)
	fmt.Println("ready")
	<-c
	os.Exit(9)
}

// crashHelper starts a process in a namespace, and beside it one that nothing ties to its parent. Both hold the write end of
// a pipe, descriptor 3.
func crashHelper() {
	mustEnter()
	pipe := os.NewFile(3, "pipe")
	ns, err := NewNS("crash")
	if err != nil {
		report(err)
	}
	tied, free := helper("hold"), helper("hold")
	tied.ExtraFiles, free.ExtraFiles = []*os.File{pipe}, []*os.File{pipe}
	if _, err := ns.Start(tied); err != nil {
		report(err)
	}
	free.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := free.Start(); err != nil {
		report(err)
	}
	fmt.Println("ready")
	select {}
}

func noTUNHelper() {
	if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
		report(err)
	}
	report(Enter(nil))
}

// noNamespacesHelper runs in a user namespace of its own, whose limits it sets to nothing.
func noNamespacesHelper() {
	for _, kind := range []string{"net", "user"} {
		if err := os.WriteFile("/proc/sys/user/max_"+kind+"_namespaces", []byte("0"), 0); err != nil {
			report(err)
		}
	}
	cmd := helper("no-ns-in")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Run()
	os.Exit(3)
}

// ordinaryHelper is root in a mount namespace of its own, and becomes nobody, for whom it makes a TUN device that anyone
// may open, as udev does, and a copy of this program.
func ordinaryHelper() {
	const dir, nobody = "/dev/net", 65534
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		report(err)
	}
	old := unix.Umask(0)
	err := unix.Mknod(dir+"/tun", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200)))
	unix.Umask(old)
	if err != nil {
		report(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(dir+"/self", self, 0o755)
	}
	if err != nil {
		report(err)
	}
	cmd := helper("smoke")
	cmd.Path, cmd.Dir = dir+"/self", "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	if err := cmd.Run(); err != nil {
		report(err)
	}
	os.Exit(0)
}

// smokeHelper builds a lab and pings through it.
func smokeHelper() {
	mustEnter()
	l, err := New(Topology{Sites: []SiteSpec{{Name: "a", Addresses: addrs("198.18.1.1")}, {Name: "b", Addresses: addrs("198.18.2.1")}}})
	if err != nil {
		report(err)
	}
	r, err := l.Site("a").Router.Ping(context.Background(), PingConfig{To: addrs("198.18.2.1")[0], Count: 3})
	if err != nil {
		report(err)
	}
	if err := l.Close(); err != nil {
		report(err)
	}
	var inside, outside int
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		fmt.Sscan(string(b), &inside, &outside)
	}
	fmt.Printf("uid %d outside, %d inside, %d replies\n", outside, inside, r.Received)
	os.Exit(0)
}
