package main

import (
	"context"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// openMexico opens a region with one token. Routes and replicas must follow by themselves: the policy that sends
// welcome/ everywhere is older than Mexico.
func (d *demo) openMexico(ctx context.Context) error { return d.openRegion(ctx, queretaro) }

// openBangkok opens a region with one data centre, and then a second one.
func (d *demo) openBangkok(ctx context.Context) error {
	if err := d.openRegion(ctx, bangkokA); err != nil {
		return err
	}
	return d.openRegion(ctx, bangkokB)
}

func (d *demo) openRegion(ctx context.Context, p place) error {
	if _, err := d.openPlace(ctx, p); err != nil {
		return err
	}
	d.screen.say("%-13s router %-12v server %v: a machine, and galleond on it", p.name, p.wan(), p.host())
	began := time.Now()
	if err := d.join(ctx, p); err != nil {
		return err
	}
	if err := d.connected(ctx); err != nil {
		return err
	}
	if err := d.firstPing(ctx, p, began); err != nil {
		return err
	}
	return d.arrived(ctx, p, d.welcome)
}

// firstPing waits for an answer from the new data centre's server to Hangzhou's.
func (d *demo) firstPing(ctx context.Context, p place, began time.Time) error {
	err := until(ctx, 100*time.Millisecond, func() error {
		report, err := d.host(hangzhou).Ping(ctx, lab.PingConfig{To: p.host(), Count: 1})
		if err == nil && report.Received == 0 {
			err = context.DeadlineExceeded
		}
		return err
	})
	if err != nil {
		return expected("a ping from Hangzhou's server to that in "+p.name+" answered", "%v", err)
	}
	d.screen.say("Hangzhou's server reaches the one in %s %.1f s after the token was asked for", p.name, time.Since(began).Seconds())
	return nil
}
