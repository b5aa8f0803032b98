package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// links is every path of the wide-area network: a gigabit, and a queue that holds its round trip.
const links = "rate=1gbit queue=32MB"

// buildLab makes the first four data centres. Only the kernel and this machine take part.
func (d *demo) buildLab(ctx context.Context) error {
	d.screen.say("working in %s", d.work.dir)
	var err error
	if d.lab, err = lab.New(lab.Topology{Seed: 1, Links: links}); err != nil {
		return err
	}
	if err := d.serveLab(ctx); err != nil {
		return err
	}
	for _, p := range firstPlaces {
		if _, err := d.openPlace(ctx, p); err != nil {
			return err
		}
		d.screen.say("%-13s router %-12v server %v", p.name, p.wan(), p.host())
	}
	for i, p := range firstPlaces {
		var far []string
		for _, q := range firstPlaces[i+1:] {
			if rtt, ok := lab.LookupRTT(p.zone, q.zone); ok {
				far = append(far, fmt.Sprintf("%s %s", q.name, millis(rtt.Duration)))
			}
		}
		if len(far) > 0 {
			d.screen.say("%-13s round trips: %s", p.name, strings.Join(far, ", "))
		}
	}
	return nil
}

// command tells the operator's command on the screen, and runs it.
func (d *demo) command(ctx context.Context, r *router, reply any, args ...string) error {
	d.screen.say("%s$ galleon %s", r.place.name, strings.Join(redact(args), " "))
	return r.galleon(ctx, reply, args...)
}

// prefixFlags announces a place's networks.
func (d *demo) prefixFlags(p place) []string {
	var flags []string
	for _, x := range p.prefixes(d.v6) {
		flags = append(flags, "--prefix", x.String())
	}
	return flags
}

// formCluster makes the cluster in Hangzhou and lets Singapore and Frankfurt join; Tokyo follows when bad tokens
// have been tried there.
func (d *demo) formCluster(ctx context.Context) error {
	var made admin.ClusterInitReply
	args := append([]string{"cluster", "init", "--region", hangzhou.region, "--zone", hangzhou.zone}, d.prefixFlags(hangzhou)...)
	if err := d.command(ctx, d.router(hangzhou), &made, args...); err != nil {
		return err
	}
	d.router(hangzhou).member = true
	d.screen.say("cluster %s, first router %s", made.Cluster, made.Name)
	for _, p := range []place{singapore, frankfurt} {
		if err := d.join(ctx, p); err != nil {
			return err
		}
	}
	return d.connected(ctx)
}

// token makes a join token in Hangzhou.
func (d *demo) token(ctx context.Context, p place, ttl time.Duration) (string, error) {
	var made admin.TokenCreateReply
	args := append([]string{"token", "create", "--region", p.region, "--zone", p.zone, "--ttl", ttl.String()}, d.prefixFlags(p)...)
	err := d.command(ctx, d.router(hangzhou), &made, args...)
	return made.Token, err
}

// join lets the router of a place join with a token of its own.
func (d *demo) join(ctx context.Context, p place) error {
	token, err := d.token(ctx, p, tokenLife)
	if err != nil {
		return err
	}
	return d.joinWith(ctx, p, token)
}

// tokenLife is how long the demo's tokens are good.
const tokenLife = 10 * time.Minute

func (d *demo) joinWith(ctx context.Context, p place, token string) error {
	var joined admin.ClusterJoinReply
	if err := d.command(ctx, d.router(p), &joined, "join", token); err != nil {
		return err
	}
	if string(joined.Region) != p.region || string(joined.Zone) != p.zone {
		return expected(fmt.Sprintf("a router in %s of %s, as its token says", p.zone, p.region), "it is in %s of %s", joined.Zone, joined.Region)
	}
	r := d.router(p)
	r.member, r.token = true, token
	d.screen.say("%s joined as %s", p.name, joined.Name)
	return nil
}

// connected waits until every member reaches every other one, and Hangzhou's kernel has the route to each.
func (d *demo) connected(ctx context.Context) error {
	members := d.members()
	for _, r := range members {
		err := until(ctx, 250*time.Millisecond, func() error { return d.reaches(ctx, r, members) })
		if err != nil {
			return &unmet{fmt.Sprintf("%d routers that reach each other", len(members)), err}
		}
	}
	d.screen.say("%d routers reach each other, and every kernel has the routes", len(members))
	return nil
}

// members are the routers that have joined.
func (d *demo) members() []*router {
	return slices.DeleteFunc(slices.Clone(d.routers), func(r *router) bool { return !r.member })
}

// reaches checks that a router sees the others and that its kernel routes to all of their networks.
func (d *demo) reaches(ctx context.Context, r *router, members []*router) error {
	c := r.client()
	defer c.Close()
	list, err := c.RouterList(ctx, admin.RouterListRequest{})
	if err != nil {
		return err
	}
	if len(list.Routers) != len(members) {
		return fmt.Errorf("%s knows %d routers, want %d", r.place.name, len(list.Routers), len(members))
	}
	for _, x := range list.Routers {
		if x.Reach == "unreachable" {
			return fmt.Errorf("%s does not reach %s", r.place.name, x.Name)
		}
	}
	routes, err := c.RouteList(ctx, admin.RouteListRequest{})
	if err != nil {
		return err
	}
	for _, m := range members {
		if m == r {
			continue
		}
		for _, p := range m.place.prefixes(d.v6) {
			if !slices.ContainsFunc(routes.Routes, func(x admin.RouteInfo) bool { return x.Prefix.Prefix == p && x.State == "installed" }) {
				return fmt.Errorf("the kernel of %s has no route to %v in %s", r.place.name, p, m.place.name)
			}
		}
	}
	return nil
}

// refuseTokens tries to make Tokyo join with tokens that are no good, then with one that is.
func (d *demo) refuseTokens(ctx context.Context) error {
	used := d.router(singapore).token
	good, err := d.token(ctx, tokyo, tokenLife)
	if err != nil {
		return err
	}
	expiring, err := d.token(ctx, tokyo, time.Second)
	if err != nil {
		return err
	}
	forged, err := forge(good, frankfurt.region, frankfurt.zone)
	if err != nil {
		return err
	}
	time.Sleep(1200 * time.Millisecond) // until it has expired
	for _, bad := range []struct{ what, token, because string }{
		{"used", used, "used"},
		{"expired", expiring, "expired"},
		{"misspelled", misspell(good), "altered"},
		{"forged", forged, "altered"},
	} {
		err := d.router(tokyo).galleon(ctx, nil, "join", bad.token)
		var no *refusal
		if !errors.As(err, &no) || !strings.Contains(no.said, bad.because) {
			return expected(fmt.Sprintf("the %s token refused with the word %q", bad.what, bad.because), "%v", err)
		}
		d.screen.say("%-10s  refused: %s", bad.what, strings.ReplaceAll(no.said, "\n", "\n            "))
	}
	if err := d.joinWith(ctx, tokyo, good); err != nil {
		return &unmet{"the good token still good after the bad ones", err}
	}
	return d.connected(ctx)
}
