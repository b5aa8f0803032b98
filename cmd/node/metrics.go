package node

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/replication"
	"github.com/galleon-net/galleon/replication/store"
)

// collector turns the houses' own status into metrics when somebody scrapes: there is one set of numbers,
// and the CLI shows the same.
type collector struct{ c *Control }

// metricsHandler serves /metrics and /healthz.
func (c *Control) metricsHandler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := c.link.status(); err != nil || c.current() == nil {
			http.Error(w, "not a member, or the forward process does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

// Describe sends nothing: which metrics there are depends on peers and policies.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks everybody for their status.
func (k collector) Collect(out chan<- prometheus.Metric) {
	m := k.c.current()
	member := 0.0
	if m != nil {
		member = 1
	}
	gauge(out, "galleon_member", "1 when the router belongs to a cluster", member)
	st, err := k.c.link.status()
	up := 0.0
	if err == nil {
		up = 1
		collectFabric(out, st.Fabric)
		inStep := 0.0
		if st.Kernel.InStep {
			inStep = 1
		}
		gauge(out, "galleon_kernel_in_step", "1 when the kernel's routes are as they shall be", inStep)
		gauge(out, "galleon_kernel_routes", "routes in Galleon's table", float64(st.Kernel.Routes))
	}
	gauge(out, "galleon_forward_up", "1 when the forward process answers", up)
	if m == nil {
		return
	}
	cs := m.consensus.Status()
	gauge(out, "galleon_catalog_index", "index of the newest catalog here", float64(cs.Index))
	gauge(out, "galleon_raft_term", "Raft term", float64(cs.Term))
	gauge(out, "galleon_raft_commit", "Raft commit index, voters only", float64(cs.Commit))
	collectStore(out, m.store.Stats())
	collectReplication(out, m.engine.Status())
}

// Labels of what there is many of.
var (
	peerLabels = []string{"peer", "name"}
	flowLabels = []string{"policy", "bucket", "to"}

	readerLabels = []string{"reader"}
	laneLabels   = []string{"peer", "name", "lane"}
)

func collectFabric(out chan<- prometheus.Metric, f fabric.Status) {
	for _, p := range f.Peers {
		peer := []string{p.Router.String(), p.Name}
		reached := map[string]float64{"direct": 2, "relayed": 1}[p.Reached]
		gauge(out, "galleon_peer_reached", "2 direct, 1 relayed, 0 not", reached, peerLabels, peer)
		counter(out, "galleon_peer_octets_out", "octets sealed for the peer", float64(p.Out.Octets), peerLabels, peer)
		counter(out, "galleon_peer_octets_in", "octets opened from the peer", float64(p.In.Octets), peerLabels, peer)
		counter(out, "galleon_peer_sources_refused", "packets from sources that the peer has no grant for", float64(p.Refused), peerLabels, peer)
		if l := p.Link; l != nil {
			gauge(out, "galleon_link_rtt_seconds", "round-trip time of the direct link", l.RTT.Seconds(), peerLabels, peer)
			gauge(out, "galleon_link_loss_in_ratio", "loss from the peer", float64(l.LossIn)/1e6, peerLabels, peer)
			gauge(out, "galleon_link_loss_out_ratio", "loss to the peer", float64(l.LossOut)/1e6, peerLabels, peer)
			gauge(out, "galleon_link_mtu_octets", "largest datagram to the peer", float64(l.MTU), peerLabels, peer)
			for i, n := range l.Lanes {
				collectLane(out, n, append(peer[:2:2], strconv.Itoa(i)))
			}
		}
	}
	for reason, n := range f.Drops {
		counter(out, "galleon_dropped_packets", "packets dropped, by reason", float64(n), []string{"reason"}, []string{reason})
	}
	counter(out, "galleon_relayed_octets", "octets carried for others", float64(f.Relayed.Octets))
	collectSocket(out, f.Socket)
}

func collectLane(out chan<- prometheus.Metric, n fabric.LaneStatus, lane []string) {
	gauge(out, "galleon_lane_share_ratio", "share of the link's flows that take this source port; 0 where it is not used", n.Share, laneLabels, lane)
	gauge(out, "galleon_lane_rtt_seconds", "round-trip time, out by this source port", n.RTT.Seconds(), laneLabels, lane)
	gauge(out, "galleon_lane_loss_ratio", "loss of probes by this source port", float64(n.Loss)/1e6, laneLabels, lane)
	counter(out, "galleon_lane_datagrams_out", "datagrams sent to the peer by this source port, without probes", float64(n.Out.Packets), laneLabels, lane)
}

func collectSocket(out chan<- prometheus.Metric, s underlay.Stats) {
	counter(out, "galleon_socket_datagrams_in", "datagrams received, without QUIC's", float64(s.In))
	counter(out, "galleon_socket_datagrams_out", "datagrams sent, without QUIC's", float64(s.Out))
	counter(out, "galleon_socket_runs_in", "runs of datagrams that the kernel joined (GRO)", float64(s.InRuns))
	counter(out, "galleon_socket_runs_out", "runs of datagrams that the kernel cut (GSO)", float64(s.OutRuns))
	counter(out, "galleon_socket_send_errors", "datagrams that the kernel refused to send", float64(s.SendErrors))
	counter(out, "galleon_socket_queue_drops", "QUIC datagrams dropped since QUIC did not read", float64(s.QueueDrops))
	counter(out, "galleon_socket_kernel_drops", "datagrams, or runs, that the kernel dropped for lack of buffer", float64(s.KernelDrops))
	gauge(out, "galleon_socket_lanes", "source ports that data is sent from", float64(s.Lanes))
	for i, r := range s.Readers {
		reader := []string{strconv.Itoa(i)}
		counter(out, "galleon_socket_reader_drops", "datagrams, or runs, for which the receive buffer was full; reader 0 has probes and QUIC", float64(r.Drops), readerLabels, reader)
		gauge(out, "galleon_socket_reader_buffer_octets", "size of the receive buffer", float64(r.Buffer), readerLabels, reader)
		gauge(out, "galleon_socket_reader_queued_octets", "octets waiting in the receive buffer", float64(r.Queued), readerLabels, reader)
	}
}

func collectStore(out chan<- prometheus.Metric, s store.Stats) {
	gauge(out, "galleon_store_objects", "visible objects", float64(s.Objects))
	gauge(out, "galleon_store_bytes", "bytes of visible objects", float64(s.Bytes))
	gauge(out, "galleon_store_chunk_bytes", "bytes of chunks", float64(s.ChunkBytes))
	gauge(out, "galleon_store_disk_bytes", "bytes on disk", float64(s.DiskBytes))
	full := 0.0
	if s.Full {
		full = 1
	}
	gauge(out, "galleon_store_full", "1 when writes are refused for lack of space", full)
}

func collectReplication(out chan<- prometheus.Metric, s replication.Status) {
	type key struct {
		policy, bucket string
		to             topo.RouterID
	}
	flows := map[key]replication.FlowStatus{}
	for _, f := range s.Flows {
		if f.Inbound {
			continue
		}
		// One metric twice would cost the whole scrape.
		k := key{f.Policy, f.Bucket, f.To}
		if g, ok := flows[k]; ok {
			f.PendingObjects += g.PendingObjects
			f.PendingBytes += g.PendingBytes
			if !g.OldestPending.IsZero() && (f.OldestPending.IsZero() || g.OldestPending.Before(f.OldestPending)) {
				f.OldestPending = g.OldestPending
			}
		}
		flows[k] = f
	}
	for k, f := range flows {
		flow := []string{k.policy, k.bucket, k.to.String()}
		gauge(out, "galleon_replication_pending_objects", "versions that the destination has not acknowledged", float64(f.PendingObjects), flowLabels, flow)
		gauge(out, "galleon_replication_pending_bytes", "bytes that the destination has not acknowledged", float64(f.PendingBytes), flowLabels, flow)
		oldest := 0.0
		if !f.OldestPending.IsZero() {
			oldest = float64(f.OldestPending.Unix())
		}
		gauge(out, "galleon_replication_oldest_pending_timestamp_seconds", "time of the oldest pending version, 0 for none", oldest, flowLabels, flow)
	}
}

func gauge(out chan<- prometheus.Metric, name, help string, v float64, labels ...[]string) {
	send(out, prometheus.GaugeValue, name, help, v, labels)
}

func counter(out chan<- prometheus.Metric, name, help string, v float64, labels ...[]string) {
	send(out, prometheus.CounterValue, name+"_total", help, v, labels)
}

// send makes a metric. Labels are none, or names and values.
func send(out chan<- prometheus.Metric, t prometheus.ValueType, name, help string, v float64, labels [][]string) {
	var names, values []string
	if len(labels) == 2 {
		names, values = labels[0], labels[1]
	}
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), t, v, values...)
}
