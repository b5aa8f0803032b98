package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// suiteTime bounds one run of a suite.
const suiteTime = 15 * time.Minute

// result is what one test of a suite came to.
type result struct {
	passed bool
	said   string
}

// TestSuites runs the suites that other servers' people wrote: every test of theirs passes, or is in
// testdata/exclusions.txt with a reason and fails for that reason.
func TestSuites(t *testing.T) {
	dir := os.Getenv(suitesDir)
	if dir == "" {
		t.Skipf("takes minutes, and modules from the proxy: make test-interop runs it, with %s=1", suitesWanted)
	}
	table, err := readExclusions("testdata/exclusions.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := startAlone(t)
	t.Run("versitygw", func(t *testing.T) { table.judge(t, "versitygw", fullFlow(t, f, dir)) })
	t.Run("minio-go", func(t *testing.T) { table.judge(t, "minio-go", functional(t, f, dir)) })
}

// judge holds results to the table, and says how many there are of each kind.
func (x exclusions) judge(t *testing.T, suite string, got map[string]result) {
	passed, excluded, notApplicable := 0, 0, 0
	for name, r := range got {
		e, isExcluded := x[suite][name]
		switch {
		case r.passed && isExcluded:
			t.Errorf("%s passes: take it off the table", name)
		case r.passed && r.said == "NA":
			notApplicable++
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
	t.Logf("%s: %d tests: %d passed, %d excluded, %d that the suite leaves out by itself, %d failed",
		suite, len(got), passed, excluded, notApplicable, len(got)-passed-excluded-notApplicable)
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

// fullFlow runs versitygw's suite as it is for servers that keep versions: S3's object lock is for such buckets alone.
func fullFlow(t *testing.T, f *fabric, dir string) map[string]result {
	work := t.TempDir() // not where the program is: tests of its own administration would start it
	out := f.runSuite(t, work, nil, filepath.Join(dir, "versitygw"),
		"test", "-a", f.key, "-s", f.secret, "-e", f.regions[0].url, "full-flow", "--versioning-enabled")
	all := map[string]result{}
	for line := range strings.Lines(colour.ReplaceAllString(out, "")) {
		m := verdict.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		r := result{passed: m[1] == "PASS", said: strings.TrimPrefix(m[3], ": ")}
		if before, ok := all[m[2]]; !ok || before.passed {
			all[m[2]] = r // one that failed once has failed
		}
	}
	if len(all) == 0 {
		t.Fatalf("the suite ran nothing:\n%s", out)
	}
	return all
}

// functional runs minio-go's suite, each test alone.
func functional(t *testing.T, f *fabric, dir string) map[string]result {
	names, err := os.ReadFile(filepath.Join(dir, mintNames))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]result{}
	for _, name := range strings.Fields(string(names)) {
		all[name] = f.mint(t, dir, name)
	}
	if len(all) == 0 {
		t.Fatal("the suite has no tests")
	}
	return all
}

// mint runs one of the functional tests.
func (f *fabric) mint(t *testing.T, dir, name string) result {
	t.Helper()
	out := f.runSuite(t, dir, []string{
		"SERVER_ENDPOINT=" + strings.TrimPrefix(f.regions[0].url, "http://"), "ACCESS_KEY=" + f.key, "SECRET_KEY=" + f.secret, "ENABLE_HTTPS=0", "MINT_MODE=full",
	}, filepath.Join(dir, "mint"), name)
	r := result{passed: true, said: "NA"} // tests of what a server must be asked to speak TLS for say nothing
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var line struct{ Status, Message, Error, Function string }
		if d.Decode(&line) != nil {
			return r // its end, or the stack of the panic with which a failure ends
		}
		switch line.Status {
		case "PASS", "NA":
			r.said = line.Status
		case "FAIL":
			r = result{said: fmt.Sprintf("%s: %s: %s", line.Function, line.Message, line.Error)}
		}
	}
}
