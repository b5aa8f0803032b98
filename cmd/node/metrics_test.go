package node

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/replication"
)

// gathered collects what f sends, by name.
type gathered func(out chan<- prometheus.Metric)

func (gathered) Describe(chan<- *prometheus.Desc)       {}
func (f gathered) Collect(out chan<- prometheus.Metric) { f(out) }

// TestMetrics scrapes a router that is none yet, and a member, and reads the answer as a scraper would.
func TestMetrics(t *testing.T) {
	r := newTestRouter(t)
	scrape := func() string {
		t.Helper()
		w := httptest.NewRecorder()
		r.metricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	if s := scrape(); !strings.Contains(s, "\ngalleon_member 0\n") {
		t.Errorf("before:\n%.400s", s)
	}
	if _, err := r.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a"}); err != nil {
		t.Fatal(err)
	}
	r.eventually("forward is up", func() bool { return strings.Contains(scrape(), "\ngalleon_forward_up 1\n") })
	line := regexp.MustCompile(`^[a-z_][a-z0-9_]*(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? [-+0-9.eInfNa]+$`)
	kinds, series := map[string]string{}, map[string]bool{}
	for _, l := range strings.Split(strings.TrimSuffix(scrape(), "\n"), "\n") {
		if f := strings.Fields(l); strings.HasPrefix(l, "# TYPE ") {
			kinds[f[2]] = f[3]
			continue
		}
		if strings.HasPrefix(l, "#") {
			continue
		}
		id, _, _ := strings.Cut(l, " ")
		if !line.MatchString(l) || series[id] {
			t.Errorf("line %q", l)
		}
		series[id] = true
	}
	for name, kind := range kinds {
		if strings.HasPrefix(name, "galleon_") && (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
	}
	for _, want := range []string{"galleon_catalog_index", "galleon_store_full", "galleon_kernel_in_step", "galleon_relayed_octets_total"} {
		if kinds[want] == "" {
			t.Errorf("no %s among %d metrics", want, len(kinds))
		}
	}
}

// TestMetricsAreNotTwice merges flows that differ in nothing that a metric says.
func TestMetricsAreNotTwice(t *testing.T) {
	old := time.Unix(1000, 0)
	reg := prometheus.NewRegistry()
	reg.MustRegister(gathered(func(out chan<- prometheus.Metric) {
		collectReplication(out, replication.Status{Flows: []replication.FlowStatus{
			{Policy: "w", Bucket: "models", From: 1, To: 2, PendingObjects: 3, OldestPending: time.Unix(2000, 0)},
			{Policy: "w", Bucket: "models", From: 3, To: 2, PendingObjects: 4, OldestPending: old},
			{Policy: "w", Bucket: "models", From: 2, To: 1, Inbound: true, PendingObjects: 100},
			{Policy: "w", Bucket: "src", From: 1, To: 2, PendingObjects: 9},
		}})
		collectFabric(out, fabric.Status{Drops: map[string]uint64{"a": 1, "b": 2}, Peers: []fabric.PeerStatus{{Router: 2, Name: "x"}, {Router: 3, Name: "x", Link: &fabric.LinkStatus{}}}})
	}))
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != "galleon_replication_pending_objects" && f.GetName() != "galleon_replication_oldest_pending_timestamp_seconds" {
			continue
		}
		if len(f.GetMetric()) != 2 {
			t.Errorf("%s has %d series, want 2", f.GetName(), len(f.GetMetric()))
		}
		for _, m := range f.GetMetric() {
			want := map[string]float64{"models": 7, "src": 9}
			if strings.Contains(f.GetName(), "oldest") {
				want = map[string]float64{"models": float64(old.Unix()), "src": 0}
			}
			for _, l := range m.GetLabel() {
				if l.GetName() == "bucket" && m.GetGauge().GetValue() != want[l.GetValue()] {
					t.Errorf("%s of %s is %v, want %v", f.GetName(), l.GetValue(), m.GetGauge().GetValue(), want[l.GetValue()])
				}
			}
		}
	}
}

// TestComplaint tells a failure that goes on once.
func TestComplaint(t *testing.T) {
	var b bytes.Buffer
	k := complaint{log: slog.New(slog.NewTextHandler(&b, nil)), what: "renew certificate"}
	first, second := errors.New("no voter answers"), errors.New("denied")
	for _, s := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {first, "level=WARN"}, {first, ""}, {second, "denied"}, {second, ""}, {nil, "works again"}, {nil, ""}, {second, "denied"},
	} {
		b.Reset()
		k.heard(s.err)
		if (s.want == "") != (b.Len() == 0) || !strings.Contains(b.String(), s.want) {
			t.Errorf("%v: %q, want %q", s.err, b.String(), s.want)
		}
	}
	k.told = k.told.Add(-repeatAfter)
	b.Reset()
	k.heard(second)
	if b.Len() == 0 {
		t.Error("it is not told again after a while")
	}
}
