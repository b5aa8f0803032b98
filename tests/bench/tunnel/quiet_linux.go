package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// jiffies are what all processors together have done since boot, in units of /proc/stat.
type jiffies struct {
	all, idle, stolen uint64 // stolen: by the host of a virtual machine
}

// parseJiffies reads the first line of /proc/stat (proc_stat(5)).
func parseJiffies(b []byte) (jiffies, error) {
	var j jiffies
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	const idle, iowait, steal = 4, 5, 8 // behind the word cpu
	if len(fields) <= steal || string(fields[0]) != "cpu" {
		return j, fmt.Errorf("read /proc/stat: %q", line)
	}
	for i, f := range fields[1 : steal+1] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return j, fmt.Errorf("read /proc/stat: %w", err)
		}
		j.all += n
		switch i + 1 {
		case idle, iowait:
			j.idle += n
		case steal:
			j.stolen = n
		}
	}
	return j, nil
}

func readJiffies() (jiffies, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return jiffies{}, err
	}
	return parseJiffies(b)
}

// share is the part of the processors' time, in percent, that f takes out of what passed since before.
func (j jiffies) share(before jiffies, f func(jiffies) uint64) float64 {
	if j.all == before.all {
		return 0
	}
	return 100 * float64(f(j)-f(before)) / float64(j.all-before.all)
}

// Of the look at the machine before each system, when nothing of the run is at work.
const (
	quietFor    = 300 * time.Millisecond
	quietBusy   = 10              // percent of the processors' time: above this somebody else is at work
	quietWithin = 5 * time.Second // it is waited so long for it to end; kernels take a moment to do away with namespaces, too
)

// quiet waits for the machine to be the benchmark's own. When it does not become so, that is said, and measured nevertheless.
func (b *bench) quiet(ctx context.Context, system string) (now jiffies, err error) {
	var busy float64
	for end := time.Now().Add(quietWithin); time.Now().Before(end); {
		before, err := readJiffies()
		if err == nil {
			err = pause(ctx, quietFor)
		}
		if err == nil {
			now, err = readJiffies()
		}
		if err != nil {
			return now, err
		}
		if busy = now.share(before, func(j jiffies) uint64 { return j.all - j.idle }); busy <= quietBusy {
			break
		}
	}
	b.results.put(system, "busy", busy)
	if busy > quietBusy {
		b.say("the machine is not idle: %.0f %% of its processors' time goes elsewhere", busy)
	}
	return now, nil
}

// robbed notes what the host took while a system was measured.
func (b *bench) robbed(system string, since jiffies) error {
	now, err := readJiffies()
	if err == nil {
		b.results.put(system, "stolen", now.share(since, func(j jiffies) uint64 { return j.stolen }))
	}
	return err
}
