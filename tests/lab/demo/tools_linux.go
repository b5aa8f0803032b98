package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// A lab of namespaces without names can only be entered through the process that holds them. The run serves the lab's
// control socket, and the commands below are what one types beside `make demo KEEP=1`.

// serveLab begins to answer on the lab's control socket, for longer than the step that ctx is of.
func (d *demo) serveLab(ctx context.Context) error {
	path := d.work.path(socketName)
	var serving context.Context
	serving, d.unserve = context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- d.lab.ServeControl(serving, path) }()
	return every(ctx, 5*time.Millisecond, func() (bool, error) {
		select {
		case err := <-ended:
			return true, err
		default:
		}
		_, err := lab.Ask(path, lab.Request{Op: "sites"})
		return err == nil, nil
	})
}

// tools are the program's commands that are not a run.
var tools = map[string]func(args []string) (code int, err error){"exec": execTool, "link": linkTool, "clean": cleanTool}

const toolsUsage = `usage: demo [-input PATH] [-keep]      run the demo
       demo exec NAME -- COMMAND...    run a command on a router (cn-hangzhou) or on the server behind it (cn-hangzhou-host)
       demo link NAME NAME CHANGE...   change a path of the wide-area network, like: cut, heal, loss=1%, rtt=300ms, rate=20mbit
       demo clean                      remove what failed and crashed runs left behind`

var errUsage = errors.New("not understood\n" + toolsUsage)

func execTool(args []string) (int, error) {
	if at := slices.Index(args, "--"); at >= 0 {
		args = slices.Delete(args, at, at+1)
	}
	if len(args) < 2 {
		return exitUsage, errUsage
	}
	socket, err := running()
	if err != nil {
		return exitFailed, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return exitFailed, err
	}
	a, err := lab.Ask(socket, lab.Request{Op: "exec", Where: where(args[0]), Args: args[1:], Dir: dir, Env: os.Environ()}, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		return exitFailed, err
	}
	return a.Exit, nil
}

// where is the lab's name for a server: site/host.
func where(name string) string {
	if site, ok := strings.CutSuffix(name, "-"+hostName); ok {
		return site + "/" + hostName
	}
	return name
}

func linkTool(args []string) (int, error) {
	if len(args) < 3 {
		return exitUsage, errUsage
	}
	socket, err := running()
	if err != nil {
		return exitFailed, err
	}
	a, err := lab.Ask(socket, lab.Request{Op: "set", From: args[0], To: args[1], Both: true, Change: strings.Join(args[2:], " ")})
	if err != nil {
		return exitFailed, err
	}
	fmt.Printf("%s and %s, both ways: %s\n", args[0], args[1], a.Text)
	return 0, nil
}

func cleanTool(args []string) (int, error) {
	if len(args) > 0 {
		return exitUsage, errUsage
	}
	n, err := sweep(true)
	if err != nil {
		return exitFailed, err
	}
	fmt.Printf("removed what %d runs left in %s\n", n, os.TempDir())
	return 0, nil
}

// running finds the control socket of the run that is going on, the newest if there are several.
func running() (socket string, err error) {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), workPattern+"*", socketName))
	if err != nil {
		return "", err
	}
	var newest time.Time
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Before(newest) {
			continue
		}
		if _, err := lab.Ask(path, lab.Request{Op: "sites"}); err != nil {
			continue // a crash left it
		}
		socket, newest = path, info.ModTime()
	}
	if socket == "" {
		return "", errors.New("no demo is running: start one with `make demo KEEP=1`")
	}
	return socket, nil
}
