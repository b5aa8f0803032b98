package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What is installed, and how.
var (
	goPrograms = map[string][]string{ // of each system: the binary's name first, then what `go install` wants
		sysWireGuard: {"wireguard", "golang.zx2c4.com/wireguard@latest"},
		sysNebula:    {"nebula", "github.com/slackhq/nebula/cmd/nebula@v1.11.0", "github.com/slackhq/nebula/cmd/nebula-cert@v1.11.0"},
	}
	debianPackages = map[string]string{"iperf3": "iperf3"} // of each program
)

// found is what is learned before the namespaces are made, where there is no network to learn more from.
type found struct {
	Missing map[string]string // the systems that cannot be had, and why
	Commit  string            // of the tree, with "+" behind it when files differ from it
	Version map[string]string // of the peers
}

// foundMark is the environment variable that takes it into the namespaces.
const foundMark = "GALLEON_BENCH_FOUND"

// prepare installs what is asked for and not there, and leaves what it found for the process in the namespaces.
func prepare(o options) error {
	f := found{Missing: map[string]string{}, Version: map[string]string{}, Commit: commit()}
	for _, name := range []string{"galleond", "galleon"} {
		if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
			return fmt.Errorf("%w: run `make build` first", err)
		}
	}
	for program, pkg := range debianPackages {
		if err := debian(program, pkg); err != nil {
			return err
		}
	}
	for _, name := range o.systems {
		if programs := goPrograms[name]; programs != nil {
			if err := goInstall(o.cache, programs); err != nil {
				f.Missing[name] = err.Error()
			} else {
				f.Version[name] = versionOf(filepath.Join(o.cache, "bin", programs[0]))
			}
		}
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.Setenv(foundMark, string(b))
}

// learned is what prepare found.
func learned() (found, error) {
	var f found
	err := json.Unmarshal([]byte(os.Getenv(foundMark)), &f)
	return f, err
}

// debian installs a package when its program is missing.
func debian(program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("there is no %s: install it (on Debian: apt-get install %s), or run as root", program, pkg)
	}
	install := []string{"install", "-y", "--no-install-recommends", pkg}
	if run(apt, nil, install...) == nil {
		return nil
	}
	if err := run(apt, nil, "update"); err != nil {
		return err
	}
	return run(apt, nil, install...)
}

// goInstall builds programs into the cache, once.
func goInstall(cache string, programs []string) error {
	bin := filepath.Join(cache, "bin")
	for i, pkg := range programs[1:] {
		name := programs[0]
		if i > 0 {
			name = filepath.Base(strings.SplitN(pkg, "@", 2)[0])
		}
		if _, err := os.Stat(filepath.Join(bin, name)); err == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench-tunnel: installing %s into %s\n", pkg, bin)
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return err
		}
		// From outside of any module, and pure Go as this one is built.
		if err := run("go", []string{"GOBIN=" + bin, "GOFLAGS=", "CGO_ENABLED=0"}, "install", pkg); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program in the root directory; what it printed is in the error.
func run(path string, env []string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		const most = 600
		out = bytes.TrimSpace(out)
		return fmt.Errorf("%s %s: %w: %s", path, strings.Join(args, " "), err, out[max(0, len(out)-most):])
	}
	return nil
}

// versionOf is the version of the module that a binary was built from.
func versionOf(binary string) string {
	out, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "mod" {
			return f[2]
		}
	}
	return ""
}

// commit is the tree's, as far as git can tell from here.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	c := strings.TrimSpace(string(out))
	if changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changed) > 0 {
		c += "+"
	}
	return c
}
