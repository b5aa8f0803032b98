package main

import (
	"context"
	"fmt"
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
	items := []item{update}
	if err := d.upload(ctx, hangzhou, models, items); err != nil {
		return err
	}
	d.later = append(d.later, items...)
	pending, err := d.pending(ctx)
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
	d.screen.say("killed Querétaro's control process with %s still to come", size(pending))
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

// pending waits until the file is on its way to Querétaro, and gives how much of it is still to come.
func (d *demo) pending(ctx context.Context) (bytes int64, err error) {
	c := d.router(queretaro).client()
	defer c.Close()
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = every(wait, 20*time.Millisecond, func() (bool, error) {
		reply, err := c.ReplicationStatus(wait, admin.ReplicationStatusRequest{Bucket: models})
		if err != nil {
			return false, err
		}
		bytes = 0
		for _, f := range reply.Flows {
			if f.Policy == "weights" {
				bytes += f.PendingBytes
			}
		}
		return bytes > 0, nil
	})
	if err != nil {
		return 0, expected("the file to be on its way to Querétaro", "%v%s", err, d.flows(queretaro))
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
