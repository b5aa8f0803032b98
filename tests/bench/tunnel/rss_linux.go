package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
)

// Of the router whose memory is measured.
const (
	rssPeers   = 100
	rssRegions = 20 // that the peers are in
	rssWithin  = 3 * time.Minute
	rssSettle  = 20 * time.Second // from the moment that it reaches every peer
	rssSamples = 5
	rssPause   = 2 * time.Second // between two of them
)

// rss measures the resident memory of a galleond with 100 idle peers (peers_linux.go): VmRSS of forward and of control, and of all its
// processes together, the supervisor included. In that sum the pages that they share, most of them the binary's, are there three times. The
// figure in the summary is what the router as a whole takes from the machine: the sum of Pss, in which each page counts once.
func (b *bench) rss(ctx context.Context) (err error) {
	b.say("a router with %d idle peers", rssPeers)
	s := &system{name: sysGalleon, env: b.environment, probe: peerProbe}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.cable(); err != nil {
		return err
	}
	s.a.addr = overA
	r, err := s.router(ctx, s.a, "a")
	if err == nil {
		err = r.found(ctx)
	}
	if err == nil {
		err = s.startPeers(ctx, r)
	}
	if err == nil {
		err = r.reachesAll(ctx, b)
	}
	if err == nil {
		err = pause(ctx, rssSettle)
	}
	for i := 0; err == nil && i < rssSamples; i++ {
		if err = r.reachesAll(ctx, b); err == nil {
			err = b.sampleRSS(r)
		}
		if err == nil {
			err = pause(ctx, rssPause)
		}
	}
	if err != nil {
		return fmt.Errorf("measure a router with %d peers: %w%s", rssPeers, err, s.logs())
	}
	b.say("  resident: forward %.1f MiB, control %.1f MiB, all %.1f MiB (pages in common once: %.1f MiB)", b.results.of(sysGalleon, "rss_forward").median(),
		b.results.of(sysGalleon, "rss_control").median(), b.results.of(sysGalleon, "rss_all").median(), b.results.of(sysGalleon, "rss_pss").median())
	return nil
}

// startPeers makes a token for each and starts the process with all of them.
func (s *system) startPeers(ctx context.Context, r *router) error {
	dir := filepath.Join(s.dir, "peers")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for i := range rssPeers {
		region := fmt.Sprintf("bench-%d", i%rssRegions)
		var made admin.TokenCreateReply
		err := r.galleon(ctx, &made, "token", "create", "--ttl", "10m", "--region", region, "--zone", region+"-a", "--prefix", fmt.Sprintf("10.100.%d.0/24", i))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(made.Token), 0o600)
		}
		if err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(s.dir, "peers.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	var in io.WriteCloser
	p, err := s.load(s.b, func(cmd *exec.Cmd) {
		in, _ = cmd.StdinPipe() // never fails: nothing was set before
		cmd.Stderr = log
	}, s.env.self, "peers", "-at", underB.String(), "-dir", dir, "-count", strconv.Itoa(rssPeers))
	if err != nil {
		return err
	}
	before := s.finish
	s.finish = func() {
		before() // the router first: it need not watch a hundred peers leave
		_ = p.Kill()
		<-p.Done()
		in.Close()
	}
	return nil
}

// reachesAll waits until the router has a session with every peer.
func (r *router) reachesAll(ctx context.Context, b *bench) error {
	ctx, cancel := context.WithTimeout(ctx, rssWithin)
	defer cancel()
	c := admin.NewUnixClient(r.socket())
	defer c.Close()
	for said := -1; ; {
		list, err := c.RouterList(ctx, admin.RouterListRequest{})
		direct := 0
		for _, x := range list.Routers {
			if x.Reach == "direct" {
				direct++
			}
		}
		if err == nil && direct == rssPeers {
			return nil
		}
		if direct/25 != said {
			said = direct / 25
			b.say("  it reaches %d of %d", direct, len(list.Routers)-1)
		}
		if e := pause(ctx, time.Second); e != nil {
			return fmt.Errorf("it reaches %d of %d peers: %w", direct, rssPeers, errors.Join(e, err))
		}
	}
}

// sampleRSS reads the memory of the router's processes.
func (b *bench) sampleRSS(r *router) error {
	forward, err := r.forwardPID()
	if err != nil {
		return err
	}
	var all, shared float64
	for _, pid := range descendants(r.process.PID()) {
		rss, err := memory(pid, "Rss")
		if err != nil {
			return err
		}
		pss, err := memory(pid, "Pss")
		if err != nil {
			return err
		}
		all, shared = all+rss, shared+pss
		switch pid {
		case forward:
			b.results.put(sysGalleon, "rss_forward", rss)
		case r.process.PID():
		default:
			b.results.put(sysGalleon, "rss_control", rss)
		}
	}
	b.results.put(sysGalleon, "rss_all", all)
	b.results.put(sysGalleon, "rss_pss", shared)
	return nil
}

// memory reads a line of /proc/PID/smaps_rollup, in MiB. Its Rss is VmRSS, exact and not of a moment ago.
func memory(pid int, key string) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if value, ok := strings.CutPrefix(in.Text(), key+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("read memory of process %d: no %s: %w", pid, key, in.Err())
}
