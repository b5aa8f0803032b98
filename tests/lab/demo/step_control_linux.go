package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// killInterval is between the pings that run while the control process dies.
const killInterval = 20 * time.Millisecond

// killControl puts a new file of weights in Hangzhou, and kills Querétaro's control process while it arrives
// there. Pings between the servers run through that router's other process all the time.
func (d *demo) killControl(ctx context.Context) error {
	update, err := d.makeWeights("update.safetensors", updateSize, modelSeed+1)
	if err != nil {
		return err
	}
	ping, err := d.host(hangzhou).StartPing(ctx, lab.PingConfig{To: queretaro.host(), Interval: killInterval})
	if err != nil {
		return err
	}
	defer ping.Stop()
	before, err := d.wire(ctx, queretaro, "weights")
	if err != nil {
		return err
	}
	items := []item{update}
	if err := d.upload(ctx, hangzhou, models, items); err != nil {
		return err
	}
	d.later = append(d.later, items...)
	arrived, err := d.arriving(ctx, before)
	if err != nil {
		return err
	}
	r := d.router(queretaro)
	pid, err := r.control()
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill the control process %d in Querétaro: %w", pid, err)
	}
	d.screen.say("killed Querétaro's control process when %s of %s had come over the wire", size(arrived), size(update.size))
	if err := d.successor(ctx, r, pid); err != nil {
		return err
	}
	d.screen.say("its successor answers after %s", millis(time.Since(killed)))
	if err := d.arrived(ctx, queretaro, items); err != nil {
		return err
	}
	report := ping.Stop()
	d.report.ControlKillLostPackets = len(report.Lost)
	d.screen.say("pings through that router all the while: %v", report)
	if len(report.Lost) > 0 {
		return expected("no ping lost", "%d of %d lost, number %d first", len(report.Lost), report.Sent, report.Lost[0])
	}
	return nil
}

// arriving waits until a good part of a file has reached Querétaro since the wire had carried so much, and gives
// how much.
func (d *demo) arriving(ctx context.Context, before int64) (bytes int64, err error) {
	wait, cancel := context.WithTimeoutCause(ctx, arrivingMost, fmt.Errorf("less than %s arrived within %v", size(arrivingLeast), arrivingMost))
	defer cancel()
	err = every(wait, 20*time.Millisecond, func() (bool, error) {
		now, err := d.wire(wait, queretaro, "weights")
		bytes = now - before
		return bytes >= arrivingLeast, err
	})
	if err != nil {
		return 0, expected("the file to be on its way to Querétaro", "%v%s", err, d.flows(queretaro))
	}
	return bytes, nil
}

// The kill comes when so much of the file has arrived, for which there is so much time.
const (
	arrivingLeast = 4 << 20
	arrivingMost  = 30 * time.Second
)

// wire is how many bytes the flows of some policies have brought to a place since its control process began.
func (d *demo) wire(ctx context.Context, p place, policies ...string) (bytes int64, err error) {
	c := d.router(p).client()
	defer c.Close()
	reply, err := c.ReplicationStatus(ctx, admin.ReplicationStatusRequest{Bucket: models})
	if err != nil {
		return 0, err
	}
	for _, f := range reply.Flows {
		if slices.Contains(policies, f.Policy) {
			bytes += f.WireBytes
		}
	}
	return bytes, nil
}

// successor waits until another control process has taken the place of one that was killed.
func (d *demo) successor(ctx context.Context, r *router, killed int) error {
	err := until(ctx, 20*time.Millisecond, func() error {
		pid, err := r.control()
		if err == nil && pid == killed {
			err = fmt.Errorf("no successor was started")
		}
		return err
	})
	if err == nil {
		err = r.answers(ctx)
	}
	if err == nil {
		err = d.isMember(ctx, r)
	}
	if err != nil {
		return &unmet{"the control process started again, and a member of the cluster", err}
	}
	return nil
}

// isMember waits until a router knows again who it is.
func (d *demo) isMember(ctx context.Context, r *router) error {
	c := r.client()
	defer c.Close()
	return until(ctx, 50*time.Millisecond, func() error {
		s, err := c.ClusterStatus(ctx, admin.ClusterStatusRequest{})
		if err == nil && s.State != "member" {
			err = fmt.Errorf("%s says that it is %s", r.place.name, s.State)
		}
		return err
	})
}
