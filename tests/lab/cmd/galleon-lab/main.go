//go:build linux

// Galleon-lab runs a laboratory of data centres on one machine, and changes it while it runs: network namespaces for
// routers and hosts, joined by an emulated wide-area network. See tests/lab/README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const usage = `usage: galleon-lab [-socket path] command

  up FILE                   build the topology in FILE and run it until Ctrl-C
  set FROM TO CHANGE...     change the link FROM one site TO another: delay=18ms rate=1gbit queue=4MB
                            mtu=1400 loss=0.5% duplicate=1% reorder=2% late=3ms cut heal
  both A B CHANGE...        change both directions; here rtt=36ms says delay=18ms each way
  isolate SITE              cut a site off from all others
  rejoin SITE               bring its links back
  stats [-json]             what every link carried and lost, and how late the network itself was
  sites                     the names of sites and hosts
  exec SITE[/HOST] CMD...   run a command on a site's router, or on a host behind it
  check [-json]             measure the emulator on this machine against what it promises

`

// command is one word of the usage. in says that it works inside of the lab's namespaces.
type command struct {
	run func(socket string, args []string) error
	in  bool
}

var commands = map[string]command{
	"up":      {up, true},
	"check":   {check, true},
	"set":     {func(s string, a []string) error { return set(s, a, false) }, false},
	"both":    {func(s string, a []string) error { return set(s, a, true) }, false},
	"isolate": {func(s string, a []string) error { return cut(s, a, "isolate") }, false},
	"rejoin":  {func(s string, a []string) error { return cut(s, a, "rejoin") }, false},
	"stats":   {stats, false},
	"sites":   {sites, false},
	"exec":    {execute, false},
}

// errUsage asks for the usage to be shown.
var errUsage = errors.New("wrong arguments")

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	socket := flag.String("socket", defaultSocket(), "control socket of the lab")
	flag.Parse()
	c, ok := commands[flag.Arg(0)]
	err := errUsage
	if ok {
		if c.in {
			err = enter()
		} else {
			err = nil
		}
		if err == nil {
			err = c.run(*socket, flag.Args()[1:])
		}
	}
	switch {
	case errors.Is(err, errUsage):
		flag.Usage()
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "galleon-lab:", err)
		os.Exit(1)
	}
}

// defaultSocket is in the user's own run-time directory, or in the one for temporary files under a name of the user's.
func defaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "galleon-lab.sock")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("galleon-lab-%d.sock", os.Getuid()))
}
