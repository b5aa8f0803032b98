package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Of a run of iperf3.
const (
	iperfOmit    = 1 // seconds at the beginning that do not count
	iperfSeconds = 3 // that do
	// profileSeconds takes its place when there is a profile to be taken, at 100 samples a second.
	profileSeconds = 10
)

// flow is a run of iperf3's client at a, towards the server at b.
type flow struct {
	out, errs bytes.Buffer
	wait      func() error
}

// iperfServer starts the server at b and waits until it listens.
func (s *system) iperfServer(ctx context.Context, at *end) error {
	if _, err := s.load(at, nil, "iperf3", "-s", "-B", at.addr.String()); err != nil {
		return err
	}
	for {
		c, err := at.ns.Dial(ctx, "tcp", at.addr.String()+":5201")
		if err == nil {
			return c.Close()
		}
		if err := pause(ctx, answerPoll); err != nil {
			return fmt.Errorf("wait for iperf3 at %v: %w", at.addr, err)
		}
	}
}

// startFlow starts the client.
func (s *system) startFlow(from, to *end, flows, seconds int) (*flow, error) {
	f := new(flow)
	cmd := exec.Command("iperf3", "-c", to.addr.String(), "-B", from.addr.String(), "-t", strconv.Itoa(seconds), "-O", strconv.Itoa(iperfOmit),
		"-P", strconv.Itoa(flows), "-J", "--connect-timeout", "3000")
	cmd.Stdout, cmd.Stderr = &f.out, &f.errs
	cmd.SysProcAttr = s.env.apart()
	p, err := from.ns.Start(cmd)
	if err != nil {
		return nil, err
	}
	f.wait = func() error {
		select {
		case <-p.Done():
			return p.Wait()
		case <-time.After(time.Duration(iperfOmit+seconds)*time.Second + iperfGrace):
			return errors.Join(errors.New("it did not end in time"), p.Kill())
		}
	}
	return f, nil
}

// iperfGrace is how much longer than its time a run may take to connect and to report.
const iperfGrace = 10 * time.Second

// end waits for the end and gives the payload that arrived, in Mbit/s.
func (f *flow) end() (float64, error) {
	err := f.wait()
	var r struct {
		Error string
		End   struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if e := json.Unmarshal(f.out.Bytes(), &r); err == nil {
		err = e
	}
	if r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		return 0, fmt.Errorf("iperf3: %w %s", err, strings.TrimSpace(f.errs.String()))
	}
	return r.End.SumReceived.BitsPerSecond / 1e6, nil
}

// tcp measures a number of flows, and with it the processor time of the daemons, in seconds per gigabit.
func (s *system) tcp(ctx context.Context, from, to *end, flows int) (mbps, perGbit float64, err error) {
	seconds := iperfSeconds
	if s.env.profile != "" {
		seconds = profileSeconds
	}
	f, err := s.startFlow(from, to, flows, seconds)
	if err != nil {
		return 0, 0, err
	}
	// The processors' time is taken in the middle of the flow, when it has its pace, and related to its rate.
	const lead, tail = (iperfOmit + 1) * time.Second, 500 * time.Millisecond
	cpu := func(after time.Duration) (used time.Duration, at time.Time) {
		if err == nil {
			err = pause(ctx, after)
		}
		if err == nil {
			used, err = s.cpu()
		}
		return used, time.Now()
	}
	profile := func() {
		if err == nil && s.env.profile != "" {
			err = s.toggleProfiles()
		}
	}
	before, began := cpu(lead)
	profile()
	after, ended := cpu(time.Duration(iperfOmit+seconds)*time.Second - lead - tail)
	profile()
	mbps, e := f.end()
	if err = errors.Join(err, e); err != nil {
		return 0, 0, err
	}
	cores := float64(after-before) / float64(ended.Sub(began))
	return mbps, cores / (mbps / 1000), nil
}
