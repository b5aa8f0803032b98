package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// What the talk is made of.
const (
	talkPings   = 20
	talkLeast   = 19 // answered: this is about the round trip, on a machine that still settles
	talkBytes   = 8 << 20
	httpPort    = 80
	pingSlack   = 15 * time.Millisecond // for two routers' work on a busy machine
	fetchMarker = "galleon demo: this text must not be seen between the routers"
)

// overlay is all that must only be seen inside tunnels: the data centres' networks and the routers' loopbacks.
var overlay = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd9a::/16"),
	netip.MustParsePrefix("100.127.0.0/16"), netip.MustParsePrefix("fd67:616c:6c65:1::/64"),
}

// talk lets Hangzhou's server ping Querétaro's and fetch a file from it, while captures watch the underlay.
func (d *demo) talk(ctx context.Context) error {
	clear, err := d.router(hangzhou).ns.Capture(lab.CaptureConfig{Interface: lab.WANInterface, Prefixes: overlay})
	if err != nil {
		return err
	}
	text, err := d.router(hangzhou).ns.Capture(lab.CaptureConfig{Interface: lab.WANInterface, Contains: [][]byte{[]byte(fetchMarker)}})
	if err != nil {
		return err
	}
	err = d.pingFar(ctx)
	if err == nil {
		err = d.fetchFar(ctx)
	}
	clearReport, textReport := clear.Stop(), text.Stop()
	if err != nil {
		return err
	}
	if err := d.nothingInClear(clearReport, textReport); err != nil {
		return err
	}
	way, err := d.router(hangzhou).text(ctx, "path", "show", hangzhou.region, queretaro.region)
	if err != nil {
		return err
	}
	d.screen.say("cn-hangzhou$ galleon path show %s %s", hangzhou.region, queretaro.region)
	d.screen.show(way)
	return nil
}

// pingFar compares the round trip of the overlay with that of the underlay.
func (d *demo) pingFar(ctx context.Context) error {
	under, err := d.router(hangzhou).ns.Ping(ctx, lab.PingConfig{To: queretaro.wan(), Count: talkPings})
	if err != nil {
		return err
	}
	over, err := d.host(hangzhou).Ping(ctx, lab.PingConfig{To: queretaro.host(), Count: talkPings})
	if err != nil {
		return err
	}
	if over.Received < talkLeast || under.Received < talkLeast {
		return expected(fmt.Sprintf("%d of %d pings answered", talkLeast, talkPings), "overlay: %v; underlay: %v", over, under)
	}
	d.report.PingMS, d.report.UnderlayMS = ms(over.Median()), ms(under.Median())
	d.screen.say("ping %v ─▶ %v: %s; between the routers' own addresses: %s", hangzhou.host(), queretaro.host(), millis(over.Median()), millis(under.Median()))
	if over.Median() > under.Median()+pingSlack {
		return expected(fmt.Sprintf("a round trip within %v of the underlay's %s", pingSlack, millis(under.Median())), "%s", millis(over.Median()))
	}
	if !d.v6 {
		return nil
	}
	six, err := d.host(hangzhou).Ping(ctx, lab.PingConfig{To: queretaro.host6(), Count: talkPings / 2})
	if err != nil {
		return err
	}
	if six.Received < talkPings/2 {
		return expected("pings over IPv6 answered", "%v", six)
	}
	d.screen.say("ping %v ─▶ %v: %s", hangzhou.host6(), queretaro.host6(), millis(six.Median()))
	return nil
}

// fetchFar gets a file over HTTP.
func (d *demo) fetchFar(ctx context.Context) error {
	file := make([]byte, talkBytes)
	rand.NewChaCha8([32]byte{1}).Read(file)
	for at := 0; at+len(fetchMarker) < len(file); at += 64 << 10 {
		copy(file[at:], fetchMarker)
	}
	address := netip.AddrPortFrom(queretaro.host(), httpPort).String()
	server, err := d.host(queretaro).Serve(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file.bin", time.Time{}, bytes.NewReader(file))
	}))
	if err != nil {
		return err
	}
	defer server.Close()
	got, err := d.host(hangzhou).Fetch(ctx, "http://"+address+"/file.bin")
	if err != nil {
		return err
	}
	if got.Sum != sha256.Sum256(file) {
		return expected("the file that was served", "%d bytes with another SHA-256", got.Bytes)
	}
	d.screen.say("fetched %s over HTTP from %s in %.1f s", size(got.Bytes), address, got.Took.Seconds())
	return nil
}

// nothingInClear judges the captures on Hangzhou's underlay.
func (d *demo) nothingInClear(clear, text lab.CaptureReport) error {
	if clear.Matched > 0 || text.Matched > 0 {
		return expected("no overlay address and no word of the file in clear on the underlay", "%d packets with an overlay address, %d with the file's text", clear.Matched, text.Matched)
	}
	if text.Seen == 0 || clear.Dropped > 0 {
		return expected("a capture that sees the tunnels' packets and loses none that match", "%d seen, %d lost", text.Seen, clear.Dropped)
	}
	stats, err := d.lab.Network().Stats()
	if err != nil {
		return err
	}
	if stats.StrayPackets > 0 {
		var strays []string
		for _, s := range stats.Strays {
			strays = append(strays, fmt.Sprintf("%d from %v to %v by %s", s.Packets, s.Src, s.Dst, s.Site))
		}
		return expected("no packet on the wide-area network but between routers' addresses", "%s", strings.Join(strays, ", "))
	}
	d.screen.say("%s packets passed Hangzhou's underlay meanwhile: none with an overlay address, none with the file's text", thousands(int64(text.Seen)))
	return nil
}
