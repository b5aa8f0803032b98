package accuracy

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// roundTrip: within a millisecond or 2 %, whichever is more.
func roundTrip(ctx context.Context, b *bench) (rows []Row, err error) {
	for _, c := range []struct {
		to   netip.Addr
		name string
		rtt  time.Duration
	}{{b4, "IPv4", 0}, {b4, "IPv4", 1200 * time.Microsecond}, {b4, "IPv4", 50300 * time.Microsecond}, {b6, "IPv6", 50300 * time.Microsecond}, {b4, "IPv4", 250 * time.Millisecond}} {
		if err := b.set("rtt=" + c.rtt.String()); err != nil {
			return nil, err
		}
		b.Network().ResetLateness()
		r, err := b.a.Ping(ctx, lab.PingConfig{To: c.to, Count: 50, Interval: 10 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		row := near(c.name+" round trip, median", c.rtt, r.Median(), max(time.Millisecond, c.rtt/50))
		row.OK = row.OK && r.Received == r.Sent
		rows = append(rows, row)
	}
	return rows, nil
}

// loss: within four standard deviations of a binomial distribution.
func loss(ctx context.Context, b *bench) (rows []Row, err error) {
	for _, c := range []struct {
		p       float64
		packets int
	}{{0.001, 40000}, {0.01, 40000}, {0.2, 10000}} {
		if err := b.set(fmt.Sprintf("delay=5ms loss=%g", c.p)); err != nil {
			return nil, err
		}
		r, err := stream(ctx, b, lab.StreamConfig{Rate: 20000, For: time.Duration(c.packets) * 50 * time.Microsecond, Size: 64})
		if err != nil {
			return nil, err
		}
		margin := 4 * math.Sqrt(c.p*(1-c.p)/float64(r.Sent))
		rows = append(rows, between("loss", fmt.Sprintf("%g %%", 100*c.p), 100*r.Loss(), 100*max(0, c.p-margin), 100*(c.p+margin), " %"))
	}
	return rows, nil
}

// rate: within 3 %, offered twice as much.
func rate(ctx context.Context, b *bench) (rows []Row, err error) {
	for _, mbit := range []float64{1, 10, 100} {
		size := 1400
		if err := b.set(fmt.Sprintf("delay=5ms rate=%gmbit queue=%d", mbit, int(max(8192, mbit*1e6/8/50)))); err != nil {
			return nil, err
		}
		r, err := stream(ctx, b, lab.StreamConfig{Rate: 2 * mbit * 1e6 / 8 / float64(size+ip4+udp), For: 1500 * time.Millisecond, Size: size})
		if err != nil {
			return nil, err
		}
		rows = append(rows, between("rate, offered 200 %", fmt.Sprintf("%g Mbit/s", mbit), r.Throughput(ip4+udp)/1e6, 0.97*mbit, 1.03*mbit, " Mbit/s"))
	}
	return rows, nil
}

// queue: a link that is offered twice its rate delays by as much as its queue holds, and loses the rest.
func queue(ctx context.Context, b *bench) ([]Row, error) {
	const size = 1250
	if err := b.set("delay=5ms rate=10mbit queue=62500"); err != nil { // a packet a millisecond, 50 of them
		return nil, err
	}
	r, err := stream(ctx, b, lab.StreamConfig{Rate: 20e6 / 8 / size, For: time.Second, Size: size - ip4 - udp})
	if err != nil {
		return nil, err
	}
	return []Row{
		near("delay of a full queue", 55*time.Millisecond, r.Delay(0.75), 2*time.Millisecond),
		near("delay of an empty queue", 6*time.Millisecond, r.DelayMin, time.Millisecond),
		// Whatever was sent: at most what the queue takes and the link carries in a second and the last queue's time.
		between("packets through a full queue in a second", "1050", float64(r.Received), 900, 1051, ""),
	}, nil
}

// reorder: the share of late packets, and nothing lost.
func reorder(ctx context.Context, b *bench) ([]Row, error) {
	if err := b.set("delay=5ms reorder=5% late=4ms duplicate=2%"); err != nil {
		return nil, err
	}
	r, err := stream(ctx, b, lab.StreamConfig{Rate: 5000, For: 2 * time.Second, Size: 64})
	if err != nil {
		return nil, err
	}
	n := float64(r.Sent)
	margin := func(p float64) float64 { return 400 * math.Sqrt(p*(1-p)/n) }
	return []Row{
		between("reordered", "5 %", 100*float64(r.Reordered)/n, 5-margin(0.05), 5+margin(0.05), " %"),
		between("duplicated", "2 %", 100*float64(r.Duplicates)/n, 2-margin(0.02), 2+margin(0.02), " %"),
		between("lost meanwhile", "0 %", 100*r.Loss(), 0, 0, " %"),
	}, nil
}

// cut: nothing passes a cut link, and all passes again once it is healed.
func cut(ctx context.Context, b *bench) ([]Row, error) {
	if err := b.set("rtt=20ms"); err != nil {
		return nil, err
	}
	const out = 300 * time.Millisecond
	p, err := b.a.StartPing(ctx, lab.PingConfig{To: b4, Interval: 5 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	for _, step := range []struct {
		change string
		hold   time.Duration
	}{{"", 200 * time.Millisecond}, {"cut", out}, {"heal", 200 * time.Millisecond}} {
		if _, err := b.Network().Set("a", "b", step.change); err != nil {
			return nil, err
		}
		if err := pause(ctx, step.hold); err != nil {
			return nil, err
		}
	}
	r := p.Stop()
	// A reply comes up to half an RTT after the cut, from what had passed already; and one RTT after the healing.
	return []Row{near("outage felt by a ping", out+20*time.Millisecond, r.LongestGap, 15*time.Millisecond),
		between("pings lost to a cut", "60 to 64", float64(len(r.Lost)), 58, 66, "")}, nil
}

// blackHole: packets up to the size pass, larger ones vanish.
func blackHole(ctx context.Context, b *bench) (rows []Row, err error) {
	if err := b.set("rtt=10ms mtu=1400"); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		to       netip.Addr
		size     int
		received float64
	}{{b4, 1400, 20}, {b4, 1401, 0}, {b6, 1400, 20}, {b6, 1401, 0}} {
		r, err := b.a.Ping(ctx, lab.PingConfig{To: c.to, Count: 20, Interval: 2 * time.Millisecond, Timeout: 200 * time.Millisecond, Size: c.size})
		if err != nil {
			return nil, err
		}
		rows = append(rows, between(fmt.Sprintf("%d-byte packets to %v through mtu=1400", c.size, c.to), fmt.Sprint(c.received), float64(r.Received), c.received, c.received, ""))
	}
	return rows, nil
}

// stream sends from a to b and judges nothing.
func stream(ctx context.Context, b *bench, cfg lab.StreamConfig) (lab.StreamReport, error) {
	cfg.To = netip.AddrPortFrom(b4, 7000)
	s, err := lab.StartStream(ctx, b.a, b.b, cfg)
	if err != nil {
		return lab.StreamReport{}, err
	}
	return s.Wait(), ctx.Err()
}

// pause waits, as a measurement of time must.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
