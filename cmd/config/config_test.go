package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

func TestPrintReadsBack(t *testing.T) {
	var b bytes.Buffer
	if err := Default().Print(&b); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("printed", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	var again bytes.Buffer
	if err := c.Print(&again); err != nil {
		t.Fatal(err)
	}
	if again.String() != b.String() {
		t.Errorf("read back differently:\n%s\nwas\n%s", again.String(), b.String())
	}
	if !strings.Contains(b.String(), "# UDP: packets and the sessions that key them") {
		t.Errorf("no comments in\n%s", b.String())
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"datadir: /x", "unknown key datadir"},
		{"listen:\n  forwad: '[::]:1'", "unknown key forwad"},
		{"listen:\n  forward: nowhere", "nowhere"},
		{"listen:\n  control: '[::]:4700'", "two sockets"},
		{"fabric:\n  device: a-name-that-is-too-long", "fabric.device"},
		{"fabric:\n  probe_interval: 1ms", "probe_interval"},
		{"fabric:\n  table: 254", "fabric.table"},
		{"fabric:\n  mtu: 1279", "fabric.mtu 1279: want 1280"},
		{"fabric:\n  mtu: 9000", "to 8952"},
		{"fabric:\n  announce: [10.0.0.1/8]", "did you mean 10.0.0.0/8"},
		{"log:\n  level: loud", "log.level"},
		{"data_dir: ''", "data_dir"},
		{"data_dir: /a\n---\ndata_dir: /b", "more than one document"},
		{"advertise:\n  s3: not a url", "advertise.s3"},
		{"advertise:\n  forward: ['[::]:4700']", "others cannot dial"},
		{"advertise:\n  control: ['192.0.2.1:0']", "others cannot dial"},
		{"listen:\n  s3: 9000", "listen.s3"},
		{"listen:\n  metrics: '127.0.0.1:'", "listen.metrics"},
		{"run_dir: /" + strings.Repeat("x", 100), "too long"},
		{"fabric:\n  mark: -1", "fabric.mark"},
		{"watchdog: 1s", "watchdog"},
	} {
		_, err := Parse("file", []byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "config.") {
			t.Errorf("%q: got %v, want %q in it", c.in, err, c.want)
		}
	}
}

func TestPolicies(t *testing.T) {
	ps, err := ParsePolicies([]byte("name: w\nbucket: models\nfrom: cn-hangzhou\nto: all\nprefix: a/\npriority: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := ps[0]
	if p.From.String() != "cn-hangzhou" || !p.To.All || p.Prefix != "a/" || p.Priority != 3 {
		t.Errorf("got %+v", p)
	}
	v := &object.Version{Bucket: "models", Key: "a/b", Region: "cn-hangzhou"}
	got := p.Targets(v, []topo.Region{"ap-tokyo", "cn-hangzhou", "mx-queretaro"})
	if len(got) != 2 {
		t.Errorf("targets %v", got)
	}
	ps, err = ParsePolicies([]byte("policies:\n- {name: a, bucket: b, from: [x, y], to: [x, y]}\n- {name: c, bucket: b, from: [x], to: [y]}\n"))
	if err != nil || len(ps) != 2 {
		t.Fatalf("%v %v", ps, err)
	}
	for _, c := range []struct{ in, want string }{
		{"name: w\nbucket: b\nform: x\nto: y", "unknown key form"},
		{"name: w\nbucket: b\nto: y", "needed"},
		{"policies: []", "no policy"},
		{"name: w\nbucket: b\nfrom: {a: b}\nto: y", "line 3"},
		{"- 1", ""},
	} {
		if _, err := ParsePolicies([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q in it", c.in, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("data_dir: /x\nlisten: {forward: '[::]:4700'}"))
	f.Add([]byte("policies: [{name: a, bucket: b, from: x, to: all}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := Parse("f", b); err == nil {
			if err := c.Check(); err != nil {
				t.Fatalf("accepted and then refused: %v", err)
			}
		}
		_, _ = ParsePolicies(b)
	})
}
