//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
	"github.com/galleon-net/galleon/tests/lab/accuracy"
)

// enter goes into the lab's namespaces; the arguments stay the same.
func enter() error { return lab.Enter(os.Args[1:]) }

func up(socket string, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	t, err := lab.LoadTopology(args[0])
	if err != nil {
		return err
	}
	l, err := lab.New(t)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	fmt.Printf("%d sites are up; control socket %s; Ctrl-C ends the lab\n", len(t.Sites), socket)
	return l.ServeControl(ctx, socket)
}

func check(_ string, args []string) error {
	asJSON := len(args) == 1 && args[0] == "-json"
	if len(args) > 0 && !asJSON {
		return errUsage
	}
	var all []accuracy.Row
	bad := 0
	if !asJSON {
		fmt.Println(accuracy.Heading)
	}
	for _, c := range accuracy.Checks() {
		rows, err := c.Do(context.Background())
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !r.OK {
				bad++
			}
			if !asJSON {
				fmt.Println(r)
			}
		}
		all = append(all, rows...)
	}
	if asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d measurements are not as promised: if other programs keep this machine busy, try again when they do not", bad, len(all))
	}
	return nil
}
