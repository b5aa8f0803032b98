package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strconv"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// The packets of the two figures, in octets of UDP payload.
const (
	payload1200 = 1200
	payload64   = 64 - 20 - 8 // of an IP packet of 64 octets
)

// Of a trial.
const (
	trialFor    = 500 * time.Millisecond
	trialQuiet  = 60 * time.Millisecond // without a further packet, nothing is under way any more
	trialPoll   = 20 * time.Millisecond
	trialWithin = 3 * time.Second // for what is under way
	sinkPort    = 5300
	// generatorShort is the share of the offered packets below which the generator is the limit.
	generatorShort = 0.93
)

// load starts a program that makes or takes load at an end.
func (s *system) load(at *end, set func(*exec.Cmd), path string, args ...string) (*lab.Process, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = s.env.apart()
	if set != nil {
		set(cmd)
	}
	return at.ns.Start(cmd)
}

// udp is a sink at b and the trials that it has seen.
type udp struct {
	s      *system
	size   int
	sink   *lab.Process
	in     io.WriteCloser
	out    *bufio.Scanner
	trials uint32
}

func (s *system) startUDP(size int) (*udp, error) {
	u := &udp{s: s, size: size}
	var err error
	u.sink, err = s.load(s.b, func(cmd *exec.Cmd) {
		u.in, _ = cmd.StdinPipe() // never fails: nothing was set before
		out, _ := cmd.StdoutPipe()
		u.out = bufio.NewScanner(out)
	}, s.env.self, "sink", "-listen", netip.AddrPortFrom(s.b.addr, sinkPort).String())
	if err != nil {
		return nil, err
	}
	_, err = u.ask("count")
	return u, err
}

func (u *udp) close() {
	u.in.Close() // ends it
	<-u.sink.Done()
}

// ask says a line to the sink and reads its report.
func (u *udp) ask(line string) (sinkReport, error) {
	var r sinkReport
	if _, err := io.WriteString(u.in, line+"\n"); err != nil {
		return r, fmt.Errorf("ask the sink: %w", err)
	}
	if !u.out.Scan() {
		return r, fmt.Errorf("ask the sink: it has ended: %w", u.sink.Wait())
	}
	return r, json.Unmarshal(u.out.Bytes(), &r)
}

// try is one trial.
func (u *udp) try(ctx context.Context, rate float64) (trial, error) {
	t := trial{Offered: rate}
	u.trials++
	if _, err := u.ask("begin " + strconv.FormatUint(uint64(u.trials), 10)); err != nil {
		return t, err
	}
	var out bytes.Buffer
	p, err := u.s.load(u.s.a, func(cmd *exec.Cmd) { cmd.Stdout = &out }, u.s.env.self, "gen", "-from", u.s.a.addr.String(),
		"-to", netip.AddrPortFrom(u.s.b.addr, sinkPort).String(), "-size", strconv.Itoa(u.size), "-rate", strconv.FormatFloat(rate, 'f', 0, 64),
		"-for", trialFor.String(), "-trial", strconv.FormatUint(uint64(u.trials), 10))
	if err != nil {
		return t, err
	}
	if err := p.Wait(); err != nil {
		return t, fmt.Errorf("generate: %w", err)
	}
	var g genReport
	if err := json.Unmarshal(out.Bytes(), &g); err != nil {
		return t, fmt.Errorf("generate: %w", err)
	}
	t.Sent, t.Seconds = g.Sent, g.Seconds
	t.Short = rate > 0 && float64(g.Sent)/g.Seconds < generatorShort*rate
	t.Delivered, err = u.arrived(ctx, g.Sent)
	return t, err
}

// arrived waits until nothing is under way any more.
func (u *udp) arrived(ctx context.Context, sent uint64) (uint64, error) {
	var last uint64
	quiet := time.Duration(0)
	for waited := time.Duration(0); waited < trialWithin; waited += trialPoll {
		r, err := u.ask("count")
		if err != nil || r.Packets >= sent {
			return r.Packets, err
		}
		if r.Packets != last {
			last, quiet = r.Packets, 0
		} else if quiet += trialPoll; quiet >= trialQuiet {
			break
		}
		if err := pause(ctx, trialPoll); err != nil {
			return last, err
		}
	}
	return last, nil
}

// udp finds the highest clean rate and the rate at saturation, in packets per second. start, when not 0, is where to begin.
func (s *system) udp(ctx context.Context, size int, start float64) (clean, saturated float64, err error) {
	u, err := s.startUDP(size)
	if err != nil {
		return 0, 0, err
	}
	defer u.close()
	t, err := u.try(ctx, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("saturate: %w", err)
	}
	saturated = t.rate()
	if start == 0 {
		start = 0.7 * saturated
	}
	best, err := findRate(start, func(rate float64) (trial, error) { return u.try(ctx, rate) })
	return best.rate(), saturated, err
}
