// Command galleond is the daemon of an edge router.
//
// One binary, three processes. The one that the operator starts supervises: it opens every socket and
// the TUN device and holds them for as long as it lives, so that neither a crash nor an upgrade of what
// uses them closes a port or takes the device away. Its two children do the work:
//
//	galleond ──┬─ forward   packets, sessions, probes, routes; the only one with network privileges
//	           └─ control   consensus, replication, objects, admin; the only one with the disk
//
// Either child may crash or hang and is started again alone; forwarding goes on while control is away.
// SIGTERM ends all in order. SIGHUP puts the binary on disk in place of the running one: the supervisor
// executes it in its own process, descriptors and children are kept, and the children are then replaced
// one after the other.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/cmd/node"
)

func init() {
	// The supervisor forks and executes on one thread, the process's first: a child's death signal is
	// tied to the thread that made it, and execve ends all but the calling thread.
	runtime.LockOSThread()
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "galleond:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	role := ""
	if len(args) > 0 && (args[0] == roleForward || args[0] == roleControl) {
		role, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("galleond", flag.ContinueOnError)
	path := flags.String("config", "", "configuration file (YAML); without it the defaults hold")
	print := flags.Bool("print-config", false, "print the whole configuration with comments, and end")
	check := flags.Bool("check-config", false, "say whether the configuration can be used, and end")
	version := flags.Bool("version", false, "print the version, and end")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "galleond is the daemon of a Galleon edge router.\n\nusage: galleond [--config FILE] [--check-config | --print-config | --version]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q; see galleond --help", flags.Arg(0))
	}
	if *version {
		fmt.Println("galleond", node.Version)
		return nil
	}
	if role != "" {
		return runChild(role)
	}
	c, err := config.Load(*path)
	if err != nil {
		return err
	}
	switch {
	case *check:
		fmt.Println("the configuration can be used")
		return nil
	case *print:
		return c.Print(os.Stdout)
	}
	return supervise(c, *path)
}

// runChild is one of the two processes that the supervisor starts, with the configuration that it hands over.
func runChild(role string) error {
	files, err := handed()
	if err != nil {
		return err
	}
	f, err := need(files, fdConfig)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	c, err := config.Parse("the configuration as handed over", b)
	if err != nil {
		return err
	}
	defer profiling(role, newLogger(c.Log).With("process", role))()
	if role == roleForward {
		return runForward(c, files)
	}
	return runControl(c, files)
}
