package main

import (
	"slices"
	"strings"
	"testing"
)

// The names of systems and figures are checked before anything is set up.
func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-rounds", "2", "-systems", "wireguard-go,galleon", "-only", "rss,tcp1"})
	if err != nil || o.rounds != 2 || !slices.Equal(o.systems, []string{sysGalleon, sysWireGuard}) || !o.wants(figTCP1) || o.wants(figUDP64) || !o.between() {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := parseOptions(nil); err != nil || o.rounds != defaultRounds || len(o.systems) != len(allSystems) || len(o.figures) != len(allFigures) {
		t.Errorf("%+v %v", o, err)
	}
	for args, want := range map[string]string{
		"-systems ipsec": `there is no system "ipsec"`, "-only tcp2": `there is no figure "tcp2"`, "-rounds 0": "want 1 to", "tcp1": "unexpected",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
