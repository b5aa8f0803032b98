//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/galleon-net/galleon/tests/lab"
	"github.com/galleon-net/galleon/tests/lab/wan"
)

func set(socket string, args []string, both bool) error {
	if len(args) < 3 {
		return errUsage
	}
	a, err := lab.Ask(socket, lab.Request{Op: "set", From: args[0], To: args[1], Change: strings.Join(args[2:], " "), Both: both})
	if err != nil {
		return err
	}
	fmt.Printf("%s to %s: %s\n", args[0], args[1], a.Text)
	return nil
}

func cut(socket string, args []string, op string) error {
	if len(args) != 1 {
		return errUsage
	}
	_, err := lab.Ask(socket, lab.Request{Op: op, Where: args[0]})
	return err
}

func sites(socket string, args []string) error {
	if len(args) != 0 {
		return errUsage
	}
	a, err := lab.Ask(socket, lab.Request{Op: "sites"})
	for _, s := range a.Sites {
		fmt.Println(s)
	}
	return err
}

func execute(socket string, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	a, err := lab.Ask(socket, lab.Request{Op: "exec", Where: args[0], Args: args[1:], Dir: dir, Env: os.Environ()}, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	os.Exit(a.Exit)
	return nil
}

func stats(socket string, args []string) error {
	asJSON := len(args) == 1 && args[0] == "-json"
	if len(args) > 0 && !asJSON {
		return errUsage
	}
	a, err := lab.Ask(socket, lab.Request{Op: "stats"})
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(a)
	}
	printStats(*a.Stats, a.Dropped)
	return nil
}

func printStats(st wan.Stats, dropped []lab.IfDropped) {
	w := tabwriter.NewWriter(os.Stdout, 2, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "from\tto\tpackets\tMB\tlost\tqueue full\ttoo large\tcut\tlate\ttwice\tlink\t")
	for _, p := range st.Paths {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t\n", p.From, p.To, p.Sent, float64(p.SentBytes)/1e6,
			p.Lost, p.QueueFull, p.TooLarge, p.Counters.Cut, p.Reordered, p.Duplicated, p.Params)
	}
	w.Flush()
	for _, s := range st.Strays {
		fmt.Printf("stray: %d packets from %v to %v, protocol %d, sent by %s\n", s.Packets, s.Src, s.Dst, s.Protocol, s.Site)
	}
	var lost uint64
	for _, d := range dropped {
		lost += d.Packets
	}
	fmt.Printf("the network itself: late by %v on average, %v for 99 of 100, %v at most; %d packets lost for want of time or memory; %v of processor time\n",
		st.Late.Mean, st.Late.P99, st.Late.Max, lost+st.Overflow, st.CPU)
}
