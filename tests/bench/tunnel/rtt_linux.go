package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// Of the echoes.
const (
	rttInterval = time.Millisecond
	rttIdle     = 2500 // echoes on an idle tunnel
	rttLoaded   = 2500 // beside a flow
	rttSeconds  = 3    // of that flow, behind those that iperf3 omits
)

// rtt measures round trips, idle and beside one flow that fills the tunnel.
func (b *bench) rtt(ctx context.Context, s *system) error {
	r, err := s.echo(ctx, rttIdle)
	if err != nil {
		return err
	}
	b.putRTT(s, "rtt_idle", r)
	f, err := s.startFlow(s.a, s.b, 1, rttSeconds)
	if err != nil {
		return err
	}
	err = pause(ctx, iperfOmit*time.Second) // until it has its pace
	if err == nil {
		r, err = s.echo(ctx, rttLoaded)
	}
	mbps, e := f.end()
	if err = errors.Join(err, e); err != nil {
		return err
	}
	b.putRTT(s, "rtt_loaded", r)
	b.results.put(s.name, "rtt_loaded_mbps", mbps)
	return nil
}

// echo sends a number of echo requests.
func (s *system) echo(ctx context.Context, count int) (lab.PingReport, error) {
	r, err := s.a.ns.Ping(ctx, lab.PingConfig{To: s.b.addr, From: s.a.addr, Count: count, Interval: rttInterval, Timeout: time.Second})
	if err == nil && r.Received < count/2 {
		err = fmt.Errorf("%d of %d echoes came back", r.Received, r.Sent)
	}
	return r, err
}

func (b *bench) putRTT(s *system, figure string, r lab.PingReport) {
	p50, p99 := micros(percentile(r.RTTs, 0.5)), micros(percentile(r.RTTs, 0.99))
	b.results.put(s.name, figure+"_p50", p50)
	b.results.put(s.name, figure+"_p99", p99)
	b.results.put(s.name, figure+"_lost", 100*r.Loss())
	b.say("  %-11s p50 %.0f µs, p99 %.0f µs, %.2g %% lost", figure, p50, p99, 100*r.Loss())
}
