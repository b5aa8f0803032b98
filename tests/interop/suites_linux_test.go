package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The suites that other servers' people wrote: every test of theirs passes, or is in testdata/exclusions.txt with a
// reason and fails for that reason. They are installed from the module proxy, and take minutes: hence a variable
// of the environment says whether they shall run.
const suitesWanted = "GALLEON_INTEROP"

const (
	versitygwModule = "github.com/versity/versitygw"
	versitygw       = versitygwModule + "/cmd/versitygw@v1.8.0"
	minioModule     = "github.com/minio/minio-go/v7"
	suiteTime       = 15 * time.Minute
)

// result is what one test of a suite came to.
type result struct {
	passed bool
	said   string
}

func TestSuites(t *testing.T) {
	if os.Getenv(suitesWanted) == "" {
		t.Skipf("takes minutes and modules from the proxy: make test-interop runs it, with %s=1", suitesWanted)
	}
	table, err := readExclusions("testdata/exclusions.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := startAlone(t)
	t.Run("versitygw", func(t *testing.T) { table.judge(t, "versitygw", fullFlow(t, f)) })
	t.Run("minio-go", func(t *testing.T) { table.judge(t, "minio-go", functional(t, f, table["minio-go"])) })
}

// judge holds results to the table, and says how many there are of each kind.
func (x exclusions) judge(t *testing.T, suite string, got map[string]result) {
	passed, excluded := 0, 0
	for name, r := range got {
		e, isExcluded := x[suite][name]
		switch {
		case r.passed && isExcluded:
			t.Errorf("%s passes: take it off the table", name)
		case r.passed:
			passed++
		case !isExcluded:
			t.Errorf("%s: %s", name, r.said)
		case !e.fails.MatchString(r.said):
			t.Errorf("%s is excluded (%s) and fails otherwise: %s", name, e.reason, r.said)
		default:
			excluded++
		}
	}
	for name := range x[suite] {
		if _, ran := got[name]; !ran {
			t.Errorf("%s is on the table and did not run", name)
		}
	}
	t.Logf("%s: %d tests: %d passed, %d excluded, %d failed", suite, len(got), passed, excluded, len(got)-passed-excluded)
}

// install puts a program of a module into a directory of the test's.
func install(t *testing.T, dir, what string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "install", what)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install %s: %v\n%s", what, err, out)
	}
}

// runSuite runs a suite in the region's host and gives what it said.
func (f *fabric) runSuite(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	r := f.regions[0]
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(slices.DeleteFunc(os.Environ(), aws), f.env(r)...), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	timer := time.AfterFunc(suiteTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = r.host.Run(cmd) // that tests failed is told by each
	return out.String()
}

var (
	colour  = regexp.MustCompile("\x1b\\[[0-9]+m")
	verdict = regexp.MustCompile(`^(PASS|FAIL) +(\w+)(.*)$`)
)

// fullFlow runs versitygw's suite, with and without versions.
func fullFlow(t *testing.T, f *fabric) map[string]result {
	dir := t.TempDir()
	install(t, dir, versitygw)
	work := t.TempDir() // not where the program is: tests of its own administration would start it
	all := map[string]result{}
	for _, flags := range [][]string{{"--versioning-enabled"}, {}} {
		out := f.runSuite(t, work, nil, filepath.Join(dir, "versitygw"), append([]string{"test", "-a", f.key, "-s", f.secret, "-e", f.regions[0].url, "full-flow"}, flags...)...)
		for line := range strings.Lines(colour.ReplaceAllString(out, "")) {
			m := verdict.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil {
				continue
			}
			name := m[2]
			r := result{passed: m[1] == "PASS", said: strings.TrimPrefix(m[3], ": ")}
			if before, ok := all[name]; !ok || before.passed {
				all[name] = r // one that failed once has failed
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("the suite ran nothing")
	}
	return all
}

// functional runs minio-go's suite, which ends at the first failure: so what is excluded is taken out of its main, and
// run alone to see it fail.
func functional(t *testing.T, f *fabric, excluded map[string]exclusion) map[string]result {
	src, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", minioModule).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(src)))); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "functional_tests.go"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "functional_tests.go")); err != nil {
		t.Fatal(err)
	}
	all := map[string]result{}
	run := func(keep func(name string) bool) {
		for name, r := range f.mint(t, dir, onlyCalls(string(text), keep)) {
			all[name] = r
		}
	}
	run(func(name string) bool { _, no := excluded[name]; return !no })
	for name := range excluded {
		run(func(n string) bool { return n == name })
	}
	return all
}

var testCall = regexp.MustCompile(`(?m)^\t+(test\w+)\(\)$`)

// onlyCalls leaves those calls of tests in a program's main that shall run.
func onlyCalls(program string, keep func(name string) bool) string {
	return testCall.ReplaceAllStringFunc(program, func(call string) string {
		if keep(strings.Trim(call, "\t()")) {
			return call
		}
		return ""
	})
}

// mint builds and runs one variant of the functional tests.
func (f *fabric) mint(t *testing.T, dir, program string) map[string]result {
	t.Helper()
	at := filepath.Join(dir, "functional")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), suiteTime)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-tags", "mint", "-o", "mint", "./functional")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out := f.runSuite(t, dir, []string{
		"SERVER_ENDPOINT=" + strings.TrimPrefix(f.regions[0].url, "http://"), "ACCESS_KEY=" + f.key, "SECRET_KEY=" + f.secret, "ENABLE_HTTPS=0", "MINT_MODE=full",
	}, filepath.Join(dir, "mint"))
	all := map[string]result{}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var line struct{ Name, Status, Message, Error, Function string }
		err := d.Decode(&line)
		if err == io.EOF || err != nil {
			break // behind a failure comes the stack of its panic
		}
		name := strings.TrimPrefix(line.Name, "minio-go: ")
		if line.Status == "PASS" && all[name] == (result{}) {
			all[name] = result{passed: true}
		}
		if line.Status == "FAIL" {
			all[name] = result{said: fmt.Sprintf("%s: %s: %s", line.Function, line.Message, line.Error)}
		}
	}
	return all
}
