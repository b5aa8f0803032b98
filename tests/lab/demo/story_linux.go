package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// step is a part of the story.
type step struct {
	title   string
	expects string // what must be so for it to have gone well, unless the error knows better
	limit   time.Duration
	run     func(*demo, context.Context) error
}

// story is the demo, in order. Each step finds the world as the ones before have left it.
var story = []step{
	{"Four data centres, and the oceans between them", "four routers that answer on their sockets", time.Minute, (*demo).buildLab},
	{"One cluster, joined by one-time tokens", "a cluster that every router with a good token joins", 2 * time.Minute, (*demo).formCluster},
	{"Tokens that must not work", "a used, an expired, a misspelled and a forged token each refused with the reason", time.Minute, (*demo).refuseTokens},
	{"A bucket, and a policy for every region there is and will be", "objects put in Hangzhou that appear in every region", 2 * time.Minute, (*demo).firstObjects},
	{"Mexico opens while everything runs", "tunnels, routes and replicas in Querétaro from one token, with no other command", 2 * time.Minute, (*demo).openMexico},
	{"A second data centre in Bangkok", "two zones of one region, opened with one token each", 3 * time.Minute, (*demo).openBangkok},
	{"Servers in Hangzhou and Querétaro talk", "ping and HTTP through the overlay, and none of it in clear on the underlay", time.Minute, (*demo).talk},
	{"Real files from Hangzhou to three oceans", "every byte that was put in Hangzhou read back from Querétaro", 0, (*demo).moveInput},
	{"The path between Hangzhou and Tokyo is cut", "traffic that goes another way at once", time.Minute, (*demo).cutPath},
	{"A control process dies in the middle of replication", "no packet lost, and replication that goes on where it was", 2 * time.Minute, (*demo).killControl},
	{"A whole router dies and comes back", "traffic that goes on without it, and a router that comes back with all that it acknowledged", 2 * time.Minute, (*demo).killRouter},
	{"Nothing that was acknowledged is lost", "every object whose PUT was answered with 200 readable where it was put", 2 * time.Minute, (*demo).audit},
}

// failure is the end of a story that did not go well.
type failure struct {
	step, expected string
	err            error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s: expected %s: %v", f.step, f.expected, f.err)
}
func (f *failure) Unwrap() error { return f.err }

// unmet is an error that knows better than its step what was expected.
type unmet struct {
	expected string
	err      error
}

func (u *unmet) Error() string { return u.err.Error() }
func (u *unmet) Unwrap() error { return u.err }

// expected says what should have been, and what was instead.
func expected(what string, format string, args ...any) error {
	return &unmet{what, fmt.Errorf(format, args...)}
}

// play runs the steps one after the other until one fails.
func (d *demo) play(ctx context.Context, steps []step) error {
	for i, s := range steps {
		d.screen.title(i+1, len(steps), s.title)
		if err := d.playStep(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) playStep(ctx context.Context, s step) error {
	bounded := ctx
	if s.limit > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("not done within %v", s.limit))
		defer cancel()
	}
	err := s.run(d, bounded)
	if err == nil {
		return nil
	}
	// What ended the context is the reason; the error is only how it was noticed.
	if cause := context.Cause(bounded); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%v)", cause, err)
	}
	f := &failure{s.title, s.expects, err}
	var u *unmet
	if errors.As(err, &u) {
		f.expected = u.expected
	}
	return f
}
