package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// inLab says why there is no lab, empty when there is one.
var notInLab string

func TestMain(m *testing.M) {
	if err := prepareSuites(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := lab.Enter(os.Args[1:]); err != nil {
		notInLab = err.Error()
	}
	code := m.Run()
	if dir := os.Getenv(suitesDir); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// region is a running router and the host behind it.
type region struct {
	name   string
	socket string
	log    string
	host   *lab.Host
	url    string
}

// fabric is two regions with a bucket that is copied from the first to the second.
type fabric struct {
	bin     string
	regions []region
	key     string
	secret  string
	bucket  string
}

// startFabric builds the daemons and starts them in two regions that are 100 ms apart.
func startFabric(t *testing.T) *fabric {
	t.Helper()
	f := start(t, "first-land", "second-land")
	f.found(t)
	return f
}

// startAlone starts one router, in a region of the name that S3's suites sign for, with a key and no bucket.
func startAlone(t *testing.T) *fabric {
	t.Helper()
	f := start(t, "us-east-1")
	r := f.regions[0]
	f.eventually(t, "the daemon answers", func() error { _, err := f.try(r, nil, "cluster", "status"); return err })
	f.galleon(t, r, nil, "cluster", "init", "--region", r.name, "--zone", r.name+"-a", "--prefix", "10.1.0.0/24")
	var key admin.KeyCreateReply
	f.eventually(t, "a key", func() error { _, err := f.try(r, &key, "key", "create", "--description", "suites"); return err })
	f.key, f.secret = key.ID, key.Secret
	return f
}

// start builds the daemons and starts one in each region of the names.
func start(t *testing.T, names ...string) *fabric {
	t.Helper()
	if notInLab != "" {
		t.Skip(notInLab)
	}
	dir := t.TempDir()
	f := &fabric{bin: filepath.Join(dir, "bin"), bucket: "interop"}
	build := exec.Command("go", "build", "-o", f.bin+"/", "github.com/galleon-net/galleon/cmd/galleond", "github.com/galleon-net/galleon/cmd/galleon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	topology := lab.Topology{Links: "rate=1gbit delay=50ms"}
	for i, name := range names {
		topology.Sites = append(topology.Sites, lab.SiteSpec{
			Name: name, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(i), 1})},
			Hosts: []lab.HostSpec{{Name: "host", Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.10/24", i+1))}}},
		})
	}
	l, err := lab.New(topology)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i, spec := range topology.Sites {
		site := l.Site(spec.Name)
		r := region{name: spec.Name, host: site.Hosts[0], log: filepath.Join(dir, spec.Name+".log"), url: fmt.Sprintf("http://10.%d.0.1:9000", i+1)}
		r.socket = filepath.Join(dir, spec.Name, "galleon.sock")
		config := filepath.Join(dir, spec.Name+".yaml")
		text := fmt.Sprintf("data_dir: %s\nrun_dir: %s\nstore: {min_free: 0}\n", filepath.Join(dir, spec.Name, "data"), filepath.Dir(r.socket))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := os.Create(r.log)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(f.bin, "galleond"), "--config", config)
		cmd.Stdout, cmd.Stderr = log, log
		p, err := site.Router.Start(cmd)
		log.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Stop(10 * time.Second) })
		f.regions = append(f.regions, r)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range f.regions {
				t.Logf("%s:\n%s", r.name, logged(r.log))
			}
		}
	})
	return f
}

// logged gives the end of a daemon's log, without a line for every request.
func logged(path string) []byte {
	b, _ := os.ReadFile(path)
	var out []byte
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte("msg=s3.served")) {
			out = append(out, line...)
		}
	}
	return out[max(0, len(out)-16000):]
}

// found makes the cluster, the bucket, the policy and the key.
func (f *fabric) found(t *testing.T) {
	t.Helper()
	f.eventually(t, "the daemons answer", func() error {
		for _, r := range f.regions {
			if _, err := f.try(r, nil, "cluster", "status"); err != nil {
				return err
			}
		}
		return nil
	})
	first, second := f.regions[0], f.regions[1]
	f.galleon(t, first, nil, "cluster", "init", "--region", first.name, "--zone", first.name+"-a", "--prefix", "10.1.0.0/24")
	var token admin.TokenCreateReply
	f.eventually(t, "a token", func() error {
		_, err := f.try(first, &token, "token", "create", "--region", second.name, "--zone", second.name+"-a", "--prefix", "10.2.0.0/24")
		return err
	})
	f.galleon(t, second, nil, "join", token.Token)
	f.galleon(t, first, nil, "bucket", "create", f.bucket)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("name: copy\nbucket: "+f.bucket+"\nfrom: "+first.name+"\nto: all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.galleon(t, first, nil, "policy", "apply", "-f", policy)
	var key admin.KeyCreateReply
	f.galleon(t, second, &key, "key", "create", "--description", "interop") // made on a watcher: a voter does it
	f.key, f.secret = key.ID, key.Secret
	f.eventually(t, "both regions know the key and the bucket", func() error {
		for _, r := range f.regions {
			var keys admin.KeyListReply
			var buckets admin.BucketListReply
			if _, err := f.try(r, &keys, "key", "list"); err != nil {
				return err
			}
			if _, err := f.try(r, &buckets, "bucket", "list"); err != nil {
				return err
			}
			if len(keys.Keys) != 1 || len(buckets.Buckets) != 1 {
				return fmt.Errorf("%s has %d keys and %d buckets", r.name, len(keys.Keys), len(buckets.Buckets))
			}
		}
		return nil
	})
}

// try runs the CLI and decodes its JSON.
func (f *fabric) try(r region, reply any, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(f.bin, "galleon"), append([]string{"--socket", r.socket, "--json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("galleon %s at %s: %w: %s", strings.Join(args, " "), r.name, err, stderr.String())
	}
	if reply != nil {
		err = json.Unmarshal(out, reply)
	}
	return string(out), err
}

func (f *fabric) galleon(t *testing.T, r region, reply any, args ...string) {
	t.Helper()
	if _, err := f.try(r, reply, args...); err != nil {
		t.Fatal(err)
	}
}

// patience bounds every wait.
const patience = 60 * time.Second

// eventually asks until the answer is good.
func (f *fabric) eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// clientTime bounds one run of a client.
const clientTime = 2 * time.Minute

// run runs a client in the host of a region.
func (f *fabric) run(r region, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(append(slices.DeleteFunc(os.Environ(), aws), f.env(r)...), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	timer := time.AfterFunc(clientTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := r.host.Run(cmd); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// aws says whether a variable is one that clients take settings from.
func aws(variable string) bool { return strings.HasPrefix(variable, "AWS_") }

func (f *fabric) env(r region) []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + f.key, "AWS_SECRET_ACCESS_KEY=" + f.secret, "AWS_DEFAULT_REGION=" + r.name,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "ENDPOINT=" + r.url, "BUCKET=" + f.bucket,
	}
}
