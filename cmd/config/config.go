// Package config reads the files that people write: the daemon's configuration and replication
// policies. Both are YAML, read strictly: an unknown key, a value of the wrong kind or a name that
// cannot be is an error that says where it is, and nothing is half-applied.
package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Config is all that a daemon is told by its file. Everything else it learns from the cluster.
type Config struct {
	// DataDir keeps identity, catalog and objects. It must survive restarts.
	DataDir string `yaml:"data_dir" comment:"identity, catalog and objects; must survive restarts"`
	// RunDir keeps the sockets galleon.sock (admin) and forward.sock (between the two processes).
	RunDir string `yaml:"run_dir" comment:"the Unix sockets of the admin API and between the two processes"`

	Listen    Listen    `yaml:"listen" comment:"where this router listens"`
	Advertise Advertise `yaml:"advertise" comment:"how others reach it; empty lists mean the addresses of this machine's interfaces"`
	Fabric    Fabric    `yaml:"fabric" comment:"the packet side"`
	Store     Store     `yaml:"store" comment:"the object side"`
	// Watchdog is how long one of the two processes may be silent before it counts as hung.
	Watchdog time.Duration `yaml:"watchdog" comment:"a process that is silent for so long is killed and started again"`

	Log Log `yaml:"log" comment:"structured log on standard error"`

	// JoinTokenFile is read once, when the router has no identity yet, and used to join.
	JoinTokenFile string `yaml:"join_token_file" comment:"a file with a join token, used once when the router has no identity yet; empty: wait for galleon join"`
}

// Listen says on which addresses the daemon takes traffic.
type Listen struct {
	// Forward is the UDP port of packets and pair sessions, Control that of Raft, requests and replication.
	Forward Endpoint `yaml:"forward" comment:"UDP: packets and the sessions that key them"`
	Control Endpoint `yaml:"control" comment:"UDP: consensus, requests, replication"`
	// S3 is the TCP address of the object endpoint, empty for none.
	S3 string `yaml:"s3" comment:"TCP: S3-compatible endpoint (signature V4); empty: none"`
	// Metrics is the TCP address of /metrics and /healthz, empty for none.
	Metrics string `yaml:"metrics" comment:"TCP: Prometheus metrics at /metrics; empty: none"`
}

// Advertise says what the router tells the cluster about where it is.
type Advertise struct {
	Forward []Endpoint `yaml:"forward" comment:"underlay endpoints for packets"`
	Control []Endpoint `yaml:"control" comment:"underlay endpoints for control"`
	S3      string     `yaml:"s3" comment:"URL of the object endpoint for clients in this region"`
}

// Fabric is about packets.
type Fabric struct {
	Device string `yaml:"device" comment:"name of the TUN device"`
	// Underlay names the interfaces to other regions. Overlay addresses never pass them in clear.
	Underlay []string `yaml:"underlay" comment:"interfaces to other regions, on which overlay addresses are never let through in clear; empty: those with an advertised address"`
	// MTU is the largest packet in bytes that hosts may send into the fabric from here; 0 is what the cluster
	// was made with. What each way carries is measured, and routes tell hosts of it.
	MTU int `yaml:"mtu" comment:"largest packet in bytes that is taken into the fabric here; each route says what its way carries, up to this; 0: as the cluster was made"`
	// Announce limits what is announced to a part of what was granted; empty is all of it.
	Announce []Prefix `yaml:"announce" comment:"prefixes to announce, of those granted to this router; empty: all of them"`
	// ProbeInterval is the time between two probes of a link. Three misses in a row are a failure.
	ProbeInterval time.Duration `yaml:"probe_interval" comment:"time between two probes of a link; three misses are a failure"`
	Table         int           `yaml:"table" comment:"routing table of its own"`
	Protocol      int           `yaml:"protocol" comment:"routing protocol number of its own"`
	RulePriority  int           `yaml:"rule_priority" comment:"priority of the ip rule that leads to the table"`
	// Mark is the firewall mark of underlay packets, 0 for none.
	Mark int `yaml:"mark" comment:"firewall mark on underlay packets; 0: none"`
}

// Store is about objects.
type Store struct {
	// MinFree is the free space in bytes below which writes are refused and reads go on.
	MinFree int64 `yaml:"min_free" comment:"bytes of free disk below which writes are refused"`
	// CacheBytes bounds the block cache.
	CacheBytes int64 `yaml:"cache_bytes" comment:"memory for the block cache, in bytes"`
}

// Log says how the log looks.
type Log struct {
	Level  string `yaml:"level" comment:"debug, info, warn or error"`
	Format string `yaml:"format" comment:"text or json"`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		DataDir: "/var/lib/galleon",
		RunDir:  "/run/galleon",
		Listen: Listen{
			Forward: Endpoint{netip.MustParseAddrPort("[::]:4700")},
			Control: Endpoint{netip.MustParseAddrPort("[::]:4701")},
			S3:      ":9000",
			Metrics: "127.0.0.1:9470",
		},
		Fabric: Fabric{
			Device:        "galleon0",
			ProbeInterval: 50 * time.Millisecond,
			Table:         201,
			Protocol:      201,
			RulePriority:  5201,
			Mark:          0x6761,
		},
		Watchdog: 30 * time.Second,
		Store:    Store{MinFree: 256 << 20, CacheBytes: 64 << 20},
		Log:      Log{Level: "info", Format: "text"},
	}
}

// AdminSocket is where the CLI finds the daemon.
func (c Config) AdminSocket() string { return c.RunDir + "/galleon.sock" }

// ForwardSocket is where control finds forward.
func (c Config) ForwardSocket() string { return c.RunDir + "/forward.sock" }

// maxSocketPath is the room for a path in a sockaddr_un, without the closing zero.
const maxSocketPath = 107

// maxDevice is IFNAMSIZ without the closing zero.
const maxDevice = 15

// The bounds of fabric.mtu in bytes: what IPv6 asks of every link (RFC 8200 section 5), and a datagram of 9,000
// less what the fabric puts round a packet (fabric.MaxMTU, to which cmd/node holds it).
const (
	minMTU = 1280
	maxMTU = 8952
)

// Check refuses values that cannot work, each with the key that holds it.
func (c Config) Check() error {
	switch {
	case c.DataDir == "":
		return fmt.Errorf("data_dir: want a directory, like %s", Default().DataDir)
	case c.RunDir == "":
		return fmt.Errorf("run_dir: want a directory, like %s", Default().RunDir)
	case !c.Listen.Forward.IsValid() || c.Listen.Forward.Port() == 0:
		return fmt.Errorf("listen.forward: want an address and a port, like %s", Default().Listen.Forward)
	case !c.Listen.Control.IsValid() || c.Listen.Control.Port() == 0:
		return fmt.Errorf("listen.control: want an address and a port, like %s", Default().Listen.Control)
	case c.Listen.Forward.Port() == c.Listen.Control.Port():
		return fmt.Errorf("listen.forward and listen.control are both port %d: they are two sockets", c.Listen.Forward.Port())
	case len(c.ForwardSocket()) > maxSocketPath:
		return fmt.Errorf("run_dir %s: too long, the path of a socket in it has at most %d characters", c.RunDir, maxSocketPath)
	case c.Fabric.Mark < 0 || c.Fabric.Mark > 1<<32-1:
		return fmt.Errorf("fabric.mark %d: want 0 to 4294967295", c.Fabric.Mark)
	case c.Fabric.Device == "" || len(c.Fabric.Device) > maxDevice:
		return fmt.Errorf("fabric.device %q: want 1 to %d characters", c.Fabric.Device, maxDevice)
	case c.Fabric.MTU != 0 && (c.Fabric.MTU < minMTU || c.Fabric.MTU > maxMTU):
		return fmt.Errorf("fabric.mtu %d: want %d, the least of IPv6, to %d, or 0 for what the cluster was made with", c.Fabric.MTU, minMTU, maxMTU)
	case c.Fabric.ProbeInterval < 5*time.Millisecond || c.Fabric.ProbeInterval > 500*time.Millisecond:
		return fmt.Errorf("fabric.probe_interval %s: want 5ms to 500ms", c.Fabric.ProbeInterval)
	case c.Fabric.Table < 1 || c.Fabric.Table > 1<<31-1 || c.Fabric.Table >= 253 && c.Fabric.Table <= 255:
		return fmt.Errorf("fabric.table %d: want a table of its own, not 0 or the system's 253 to 255", c.Fabric.Table)
	case c.Fabric.Protocol < 5 || c.Fabric.Protocol > 255:
		return fmt.Errorf("fabric.protocol %d: want 5 to 255", c.Fabric.Protocol)
	case c.Fabric.RulePriority < 1 || c.Fabric.RulePriority > 32765:
		return fmt.Errorf("fabric.rule_priority %d: want 1 to 32765, ahead of the main table", c.Fabric.RulePriority)
	case c.Watchdog < 3*time.Second || c.Watchdog > time.Hour:
		return fmt.Errorf("watchdog %s: want 3s to 1h", c.Watchdog)
	case c.Store.MinFree < 0:
		return fmt.Errorf("store.min_free %d: want bytes, 0 or more", c.Store.MinFree)
	case c.Store.CacheBytes < 1<<20:
		return fmt.Errorf("store.cache_bytes %d: want at least 1048576", c.Store.CacheBytes)
	}
	for key, addr := range map[string]string{"listen.s3": c.Listen.S3, "listen.metrics": c.Listen.Metrics} {
		if addr == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return fmt.Errorf("%s %q: want an address and a port, like 127.0.0.1:9000, or :9000 for every address", key, addr)
		}
	}
	for key, list := range map[string][]Endpoint{"advertise.forward": c.Advertise.Forward, "advertise.control": c.Advertise.Control} {
		for _, e := range list {
			if a := e.Addr(); !e.IsValid() || e.Port() == 0 || a.IsUnspecified() || a.IsMulticast() {
				return fmt.Errorf("%s %s: others cannot dial that; want the address and port that they reach this router at", key, e)
			}
		}
	}
	if c.Advertise.S3 != "" {
		if u, err := url.Parse(c.Advertise.S3); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("advertise.s3 %q: want a URL, like http://10.8.0.1:9000", c.Advertise.S3)
		}
	}
	for _, p := range c.Fabric.Announce {
		if p.Prefix != p.Masked() {
			return fmt.Errorf("fabric.announce: %s has bits set behind its length; did you mean %s?", p, p.Masked())
		}
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log.level %q: want debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format %q: want text or json", c.Log.Format)
	}
	return nil
}

// Announced picks of the prefixes granted to the router those that it shall announce.
func (c Config) Announced(granted []topo.SegPrefix) []topo.SegPrefix {
	if len(c.Fabric.Announce) == 0 {
		return granted
	}
	var out []topo.SegPrefix
	for _, g := range granted {
		for _, a := range c.Fabric.Announce {
			if g.Prefix == a.Prefix {
				out = append(out, g)
			}
		}
	}
	return out
}
