package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The systems, in the order of the first round.
const (
	sysRaw       = "raw"
	sysGalleon   = "galleon"
	sysWireGuard = "wireguard-go"
	sysNebula    = "nebula"
)

var allSystems = []string{sysRaw, sysGalleon, sysWireGuard, sysNebula}

// The figures that can be asked for alone.
const (
	figTCP1    = "tcp1"
	figTCP4    = "tcp4"
	figUDP1200 = "udp1200"
	figUDP64   = "udp64"
	figRTT     = "rtt"
	figRelay   = "relay"
	figRSS     = "rss"
)

var allFigures = []string{figTCP1, figTCP4, figUDP1200, figUDP64, figRTT, figRelay, figRSS}

// options are what the command line says.
type options struct {
	rounds  int
	systems []string
	figures []string
	profile string // directory for CPU profiles of galleond, empty for none
	json    string // file for the results, empty for none
	bin     string // where galleond and galleon are
	cache   string // where the programs of others are
	// sessions has each program lead a session, and so have the scheduling group (sched_autogroup) of a service of its own.
	sessions bool
}

func (o *options) wants(figure string) bool { return slices.Contains(o.figures, figure) }

// between says whether anything is asked for that is measured between two ends.
func (o *options) between() bool {
	return slices.ContainsFunc(o.figures, func(f string) bool { return f != figRelay && f != figRSS })
}

const (
	defaultRounds = 5
	maxRounds     = 100
)

var errUsage = errors.New("usage")

func parseOptions(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench-tunnel", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", defaultRounds, "how often each system is measured")
	systems := flags.String("systems", strings.Join(allSystems, ","), "which systems, of "+strings.Join(allSystems, ","))
	figures := flags.String("only", strings.Join(allFigures, ","), "which figures, of "+strings.Join(allFigures, ","))
	flags.StringVar(&o.profile, "profile", "", "a directory for CPU profiles of both forward processes during the flow of tcp1")
	flags.StringVar(&o.json, "json", "", "a file for the results, with date, machine and commit")
	flags.BoolVar(&o.sessions, "sessions", false, "give each program a session, and so a scheduling group, of its own")
	flags.StringVar(&o.bin, "bin", defaultBin(), "the directory with galleond and galleon")
	flags.StringVar(&o.cache, "cache", defaultCache(), "the directory into which programs of others are installed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	var err error
	if o.systems, err = choose("system", *systems, allSystems); err != nil {
		return o, err
	}
	if o.figures, err = choose("figure", *figures, allFigures); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.rounds > maxRounds {
		return o, fmt.Errorf("-rounds %d: want 1 to %d", o.rounds, maxRounds)
	}
	for _, p := range []*string{&o.bin, &o.cache, &o.profile, &o.json} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return o, err
		}
	}
	return o, nil
}

// choose reads a list of names, each of them known; the order is that of all.
func choose(what, list string, all []string) ([]string, error) {
	asked := strings.Split(list, ",")
	for _, x := range asked {
		if !slices.Contains(all, x) {
			return nil, fmt.Errorf("there is no %s %q: choose of %s", what, x, strings.Join(all, ","))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(x string) bool { return !slices.Contains(asked, x) }), nil
}

// defaultBin is the directory of this binary.
func defaultBin() string {
	self, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(self)
}

func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "galleon-bench")
}
