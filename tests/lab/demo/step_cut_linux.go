package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// The stream by which an outage is measured: a packet every 2 ms, so that a gap is known to about that.
const (
	probeRate   = 500
	probePort   = 5001
	calm        = 1500 * time.Millisecond // of undisturbed stream before and after
	rerouteMost = 3 * time.Second
)

var gapRemark = fmt.Sprintf("longest gap in %d packets a second", probeRate)

// startProbe begins a stream from Hangzhou's server to Tokyo's, and returns when it flows.
func (d *demo) startProbe(ctx context.Context) (*lab.Stream, error) {
	s, err := lab.StartStream(ctx, d.host(hangzhou).NS, d.host(tokyo).NS, lab.StreamConfig{To: netip.AddrPortFrom(tokyo.host(), probePort), Rate: probeRate})
	if err != nil {
		return nil, err
	}
	if err := flows(ctx, s); err != nil {
		s.Stop()
		return nil, fmt.Errorf("stream from Hangzhou to Tokyo: %w", err)
	}
	return s, nil
}

// flows returns when a stream has arrived without a pause for a while.
func flows(ctx context.Context, s *lab.Stream) error {
	const interval = 50 * time.Millisecond
	var since time.Time // of the first look from which on every look found news
	last := s.Report().Received
	return every(ctx, interval, func() (bool, error) {
		n := s.Report().Received
		if n-last < uint64(probeRate*interval.Seconds()/4) {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		last = n
		return !since.IsZero() && time.Since(since) > calm, nil
	})
}

// cutPath cuts the direct path under a stream. It stays cut: the next steps run with what is left.
func (d *demo) cutPath(ctx context.Context) error {
	var before admin.PathShowReply
	err := until(ctx, 250*time.Millisecond, func() (err error) {
		if before, err = d.path(ctx, hangzhou, tokyo); err == nil && len(before.Hops) != 2 {
			err = fmt.Errorf("packets go %s: %s", strings.Join(before.Hops, " ─▶ "), before.Why)
		}
		return err
	})
	if err != nil {
		return &unmet{"the direct path in use before it is cut", err}
	}
	probe, err := d.startProbe(ctx)
	if err != nil {
		return err
	}
	if err := d.lab.Network().SetBoth(hangzhou.name, tokyo.name, "cut"); err != nil {
		probe.Stop()
		return err
	}
	d.screen.say("cut, under a stream of %d packets a second from Hangzhou's server to Tokyo's", probeRate)
	err = flows(ctx, probe)
	report := probe.Stop()
	if err != nil {
		return expected("the stream to flow again", "%v: %v", report, err)
	}
	d.report.ReroutedMS = ms(report.LongestGap)
	if report.LongestGap > rerouteMost {
		return expected(fmt.Sprintf("an outage of less than %v", rerouteMost), "%v", report)
	}
	d.screen.say("the longest gap in it is %s; %d of %s packets were lost", millis(report.LongestGap), report.Sent-report.Received, thousands(int64(report.Sent)))
	after, err := d.path(ctx, hangzhou, tokyo)
	if err != nil {
		return err
	}
	d.screen.say("before: %s (%s)", strings.Join(before.Hops, " ─▶ "), millis(before.RTT))
	d.screen.say("now:    %s (%s)", strings.Join(after.Hops, " ─▶ "), millis(after.RTT))
	if len(after.Hops) < 3 {
		return expected("a path through another region", "%v", after.Hops)
	}
	return nil
}

// heal brings the direct path back, and waits until it is used.
func (d *demo) heal(ctx context.Context) error {
	if err := d.lab.Network().SetBoth(hangzhou.name, tokyo.name, "heal"); err != nil {
		return err
	}
	began := time.Now()
	err := until(ctx, 250*time.Millisecond, func() error {
		p, err := d.path(ctx, hangzhou, tokyo)
		if err == nil && len(p.Hops) != 2 {
			err = fmt.Errorf("packets still go %s: %s", strings.Join(p.Hops, " ─▶ "), p.Why)
		}
		return err
	})
	if err != nil {
		return &unmet{"the direct path in use again after it healed", err}
	}
	d.screen.say("the path between Hangzhou and Tokyo is whole again, and in use after %.1f s", time.Since(began).Seconds())
	return nil
}

// path asks the router at one end.
func (d *demo) path(ctx context.Context, from, to place) (admin.PathShowReply, error) {
	c := d.router(from).client()
	defer c.Close()
	p, err := c.PathShow(ctx, admin.PathShowRequest{From: from.region, To: to.region})
	if err == nil && !p.Reachable {
		err = fmt.Errorf("%s does not reach %s: %s", from.name, to.name, p.Why)
	}
	return p, err
}
