package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is a file of results.
type report struct {
	Date    string                         `json:"date"`
	Commit  string                         `json:"commit"` // + behind it: with changes that were not committed
	Machine machine                        `json:"machine"`
	Peers   map[string]string              `json:"peers"` // their versions
	Missing map[string]string              `json:"missing,omitempty"`
	Rounds  int                            `json:"rounds"`
	Summary summary                        `json:"summary"`
	Samples map[string]map[string][]number `json:"samples"` // of each system and figure, by round
}

// machine is where it was measured.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// tell prints the table and the last line, and writes the file that was asked for.
func (b *bench) tell() error {
	r := report{
		Date: time.Now().UTC().Format(time.RFC3339), Commit: b.found.Commit, Machine: thisMachine(), Peers: b.found.Version, Missing: b.results.missing,
		Rounds: b.rounds, Summary: b.results.summary(), Samples: map[string]map[string][]number{},
	}
	for system, figures := range b.results.samples {
		r.Samples[system] = map[string][]number{}
		for figure, values := range figures {
			for _, v := range values {
				r.Samples[system][figure] = append(r.Samples[system][figure], number(v))
			}
		}
	}
	fmt.Printf("\n%s, %d cores, Linux %s, commit %s, %d rounds\n\n%s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Commit, r.Rounds, b.results.table(b.systems))
	if b.json != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err == nil {
			err = os.WriteFile(b.json, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r.Summary)
}

func thisMachine() machine {
	m := machine{CPU: "unknown processor", Cores: runtime.NumCPU(), Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}
