package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// Exit codes beside 0.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell says it of Ctrl-C
)

func main() { os.Exit(run(os.Args[1:])) }

// options are what the command line says.
type options struct {
	input string // what to upload instead of Go's source and made-up weights
	keep  bool   // leave it running
	bin   string // where galleond and galleon are
}

func run(args []string) int {
	if len(args) > 0 && tools[args[0]] != nil {
		code, err := tools[args[0]](args[1:])
		if err != nil {
			fmt.Fprintf(os.Stderr, "demo %s: %v\n", args[0], err)
		}
		return code
	}
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&o.input, "input", "", "a file or a directory to upload instead of Go's source tree and a file of weights")
	flags.BoolVar(&o.keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	flags.StringVar(&o.bin, "bin", defaultBin(), "the directory with galleond and galleon")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(os.Stderr, toolsUsage)
		return exitUsage
	}
	// What is wrong with the arguments is said before a namespace is made.
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitUsage
	}
	if err := lab.Enter(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	return inside(ctx, o)
}

// check makes paths absolute and refuses what is not there.
func (o *options) check() (err error) {
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	for _, name := range []string{"galleond", "galleon"} {
		if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
			return fmt.Errorf("%w: run `make build` first", err)
		}
	}
	if o.input == "" {
		return nil
	}
	if o.input, err = filepath.Abs(o.input); err != nil {
		return err
	}
	_, err = gather(o.input, filesPrefix)
	return err
}

// defaultBin is the directory of this binary.
func defaultBin() string {
	self, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(self)
}
