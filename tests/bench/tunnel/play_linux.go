package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// bench is a run: the rounds, and what they have brought so far.
type bench struct {
	*environment
	found   found
	results results
	began   time.Time
	steps   float64 // estimated seconds of all that is to be done
	done    float64 // of all that is done
}

func newBench(e *environment, f found) *bench {
	b := &bench{environment: e, found: f, results: newResults(), began: time.Now()}
	for name, why := range f.Missing {
		b.results.missing[name] = why
	}
	if b.wantsRSS() {
		b.steps += costs[figRSS]
	}
	for range e.rounds {
		for _, name := range e.systems {
			b.steps += e.cost(name)
		}
	}
	return b
}

// Estimated seconds, for the time that is left.
var costs = map[string]float64{figTCP1: 4.3, figTCP4: 4.3, figUDP1200: 6, figUDP64: 6, figRTT: 7, figRelay: 13, figRSS: 80}

// cost estimates a system's part of a round, in seconds.
func (e *environment) cost(name string) float64 {
	seconds := 1.5
	if name == sysGalleon {
		seconds = 4
	}
	for _, f := range e.figures {
		switch {
		case f == figRSS:
		case f == figRelay && name != sysGalleon:
		case name == sysRaw && (f == figUDP64 || f == figUDP1200): // in the first round only
		default:
			seconds += costs[f]
		}
	}
	return seconds
}

// say prints a line of progress, with the time that is left.
func (b *bench) say(format string, args ...any) {
	took := time.Since(b.began)
	left := time.Duration((b.steps - b.done) * float64(time.Second))
	if b.done > 0 {
		left = time.Duration(float64(took) * (b.steps - b.done) / b.done)
	}
	fmt.Fprintf(os.Stderr, "%4.0f s, about %3.0f s left  %s\n", took.Seconds(), max(0, left.Seconds()), fmt.Sprintf(format, args...))
}

// play measures everything, round by round. What fails of a peer makes it missing; what fails of Galleon ends the run.
func (b *bench) play(ctx context.Context) error {
	for round := range b.rounds {
		for i := range b.systems {
			name := b.systems[(i+round)%len(b.systems)]
			if _, gone := b.results.missing[name]; gone {
				b.done += b.cost(name)
				continue
			}
			err := b.visit(ctx, name, round)
			if err == nil && name == sysGalleon && b.wants(figRelay) {
				b.say("round %d of %d: a relay", round+1, b.rounds)
				err = b.relay(ctx)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil && (name == sysGalleon || name == sysRaw) {
				return err
			}
			if err != nil {
				b.results.drop(name, err.Error())
				b.say("%s is missing: %v", name, err)
			}
			b.done += b.cost(name)
		}
	}
	if !b.wantsRSS() {
		return nil
	}
	return b.rss(ctx)
}

func (b *bench) wantsRSS() bool { return b.wants(figRSS) && slices.Contains(b.systems, sysGalleon) }

// visit sets a system up, measures it once, and takes it down.
func (b *bench) visit(ctx context.Context, name string, round int) (err error) {
	if !b.between() {
		return nil
	}
	b.say("round %d of %d: %s", round+1, b.rounds, name)
	began, err := b.quiet(ctx, name)
	if err != nil {
		return err
	}
	s, err := b.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("measure %s: %w%s", name, err, s.logs())
		}
		err = errors.Join(err, s.close())
	}()
	return errors.Join(b.measure(ctx, s, round), b.robbed(name, began))
}

// measure takes all figures that are wanted of a system.
func (b *bench) measure(ctx context.Context, s *system, round int) error {
	put := func(figure string, value float64) { b.results.put(s.name, figure, value) }
	if b.wants(figTCP1) || b.wants(figTCP4) || b.wants(figRTT) {
		if err := s.iperfServer(ctx, s.b); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		figure string
		flows  int
	}{{figTCP1, 1}, {figTCP4, 4}} {
		if !b.wants(x.figure) {
			continue
		}
		mbps, cpu, err := s.tcp(ctx, s.a, s.b, x.flows)
		if err != nil {
			return err
		}
		if b.profile != "" && s.name == sysGalleon {
			if err := s.keepProfiles(ctx, fmt.Sprintf("%s-round%d", x.figure, round+1)); err != nil {
				return err
			}
		}
		put(x.figure, mbps)
		put(x.figure+cpuSuffix, cpu)
		b.say("  %-7s %8.0f Mbit/s   %.2f CPU s/Gbit", x.figure, mbps, cpu)
	}
	for _, x := range []struct {
		figure string
		size   int
	}{{figUDP1200, payload1200}, {figUDP64, payload64}} {
		// Without a tunnel this only shows how much the generator and the sink have in reserve: once is enough.
		if !b.wants(x.figure) || s.name == sysRaw && round > 0 {
			continue
		}
		// Later rounds begin where the first ones ended.
		start := 0.0
		if before := b.results.of(s.name, x.figure); len(before) > 0 {
			start = before.median()
		}
		clean, saturated, err := s.udp(ctx, x.size, start)
		if err != nil {
			return err
		}
		put(x.figure, clean)
		put(x.figure+saturatedSuffix, saturated)
		b.say("  %-7s %8.0f packets/s clean, %.0f when saturated", x.figure, clean, saturated)
	}
	if b.wants(figRTT) {
		return b.rtt(ctx, s)
	}
	return nil
}
