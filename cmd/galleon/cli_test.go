package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

// fakeDaemon answers every call with what it was last told to, and keeps what it was asked.
type fakeDaemon struct {
	reply string
	asked []string
}

func (f *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	to := ""
	if at := r.Header.Get(admin.RouterHeader); at != "" {
		to = " at " + at
	}
	f.asked = append(f.asked, fmt.Sprintf("> %s%s %s", strings.TrimPrefix(r.URL.Path, "/v1/"), to, b))
	if strings.HasPrefix(f.reply, `{"error"`) {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, f.reply)
}

// relative are times in replies that the output tells as distances: @-5m is five minutes ago.
var relative = regexp.MustCompile(`@(-?[0-9][0-9hms]*)`)

func withTimes(t *testing.T, s string) string {
	now := time.Now()
	return relative.ReplaceAllStringFunc(s, func(m string) string {
		d, err := time.ParseDuration(m[1:])
		if err != nil {
			t.Fatal(err)
		}
		if d > 0 {
			d += time.Second / 2 // what is left of it when it is printed
		}
		return now.Add(d).Format(time.RFC3339Nano)
	})
}

// newCLI makes the command tree over a fake daemon.
func newCLI(t *testing.T, f *fakeDaemon) (run func(args ...string) string) {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return func(args ...string) string {
		var out bytes.Buffer
		root := newRootWith(&cli{out: &out, dial: func(*cli) *admin.Client {
			return admin.NewClient(func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", s.Listener.Addr().String())
			})
		}})
		root.SetErr(&out)
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err != nil {
			fmt.Fprintln(&out, "galleon:", explain(err))
		}
		return out.String()
	}
}

// TestCommands runs the commands in testdata. The first line of a test is the command line, the rest is what
// the daemon replies. The output is what the daemon was asked, and then what the person sees.
func TestCommands(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	t.Chdir("testdata")
	f := &fakeDaemon{}
	run := newCLI(t, f)
	seen := map[string]bool{}
	datadriven.Walk(t, ".", func(t *testing.T, path string) {
		if filepath.Ext(path) != ".txt" {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			line, reply, _ := strings.Cut(d.Input, "\n")
			if reply == "" {
				reply = "{}"
			}
			f.reply, f.asked = withTimes(t, reply), nil
			args := strings.Fields(line)
			if c, _, err := newRoot(io.Discard).Find(args); err == nil {
				seen[c.CommandPath()] = true
			}
			out := run(args...)
			return strings.Join(append(f.asked, out), "\n")
		})
	})
	walk(newRoot(io.Discard), func(c *cobra.Command) {
		if c.Runnable() && !c.HasSubCommands() && !seen[c.CommandPath()] && !strings.Contains(c.CommandPath(), "completion") && c.Name() != "help" {
			t.Errorf("no test runs %s", c.CommandPath())
		}
	})
}

func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}

// TestEveryCommandIsDescribed keeps help complete.
func TestEveryCommandIsDescribed(t *testing.T) {
	walk(newRoot(io.Discard), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short description %q", c.CommandPath(), c.Short)
		}
		if !c.Runnable() && !c.HasSubCommands() {
			t.Errorf("%s does nothing", c.CommandPath())
		}
	})
}

func TestCompletion(t *testing.T) {
	run := newCLI(t, &fakeDaemon{})
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := run("completion", shell); !strings.Contains(out, "galleon") || len(out) < 1000 {
			t.Errorf("completion for %s has %d characters", shell, len(out))
		}
	}
	if out := run("__complete", "rout", ""); !strings.Contains(out, "ShellCompDirective") {
		t.Errorf("__complete says %q", out)
	}
	if out := run("__complete", "router", ""); !strings.Contains(out, "revoke\tPut a router out of the cluster for good") {
		t.Errorf("router completes to %q", out)
	}
}

// TestBackupFile checks what is written, and that nothing is when it cannot be.
func TestBackupFile(t *testing.T) {
	data := []byte("a catalog")
	reply, err := json.Marshal(admin.ClusterBackupReply{Cluster: "g1", Index: 7, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeDaemon{reply: string(reply)}
	run := newCLI(t, f)
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog")
	if out := run("cluster", "backup", path); !strings.Contains(out, "index 7") {
		t.Errorf("it says %q", out)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, data) {
		t.Errorf("the file has %q, %v", b, err)
	}
	if out := run("cluster", "backup", filepath.Join(dir, "none", "catalog")); !strings.HasPrefix(out, "galleon: ") {
		t.Errorf("it says %q", out)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("files left: %v", list)
	}
}

// TestExplain turns what people meet first into what they can do.
func TestExplain(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("call X: %w", &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", err)})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{dial(syscall.ENOENT), "start it with: galleond"},
		{dial(syscall.ECONNREFUSED), "start it with: galleond"},
		{dial(syscall.EACCES), "may not use the daemon's socket"},
		{&admin.Error{Code: admin.CodeDenied, Message: "no", Hint: "ask"}, "no\n  ask"},
		{fmt.Errorf("around: %w", &admin.Error{Message: "no"}), "no"},
	} {
		if got := explain(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q in it", c.err, got, c.want)
		}
	}
}
