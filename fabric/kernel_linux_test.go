package fabric

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
	"github.com/galleon-net/galleon/tests/lab"
)

// site is a router with its kernel's TUN device, and a host behind it, each in a namespace of its own:
//
//	host ── lan ── router ── galleon0 ~ mesh ~ under ── the other router
type site struct {
	id           topo.RouterID
	host, router *lab.NS
	mesh         *Mesh
}

// sitesOf is how two sites differ from what a kernel of today gives.
type sitesOf struct {
	noOffloads [3]bool // by router
	oldPeers   bool
	mtu        int // of the fabric
}

// start makes two meshed routers, joined by a cable, with hosts behind them. It skips where this process may not
// make namespaces or devices.
func (of sitesOf) start(t *testing.T) (s [3]*site) {
	t.Helper()
	ca := authority(t)
	conf := Config{Cluster: cluster, Incarnation: 1, FabricMTU: of.mtu}
	var creds [3]*keys.Credential
	for id := topo.RouterID(1); id <= 2; id++ {
		s[id] = &site{id: id, host: namespace(t, fmt.Sprintf("host %d", id)), router: namespace(t, fmt.Sprintf("router %d", id))}
		key := generate(t)
		creds[id] = credential(t, ca, id, key)
		conf.Routers = append(conf.Routers, Router{
			ID: id, Region: "ap-tokyo", Zone: "ap-tokyo-a", PublicKey: key.Public(), Endpoints: []netip.AddrPort{addrOf(id)},
			Grants: []topo.SegPrefix{prefix(fmt.Sprintf("10.%d.0.0/16", id)), prefix(fmt.Sprintf("fd00:%d::/32", id))},
		})
	}
	must(t, lab.Veth(s[1].router, "under", s[2].router, "under", of.mtu+100))
	for id := topo.RouterID(1); id <= 2; id++ {
		x, other := s[id], 3-id
		must(t, lab.Veth(x.host, "lan", x.router, "lan", of.mtu+100))
		must(t, x.router.Sysctl(map[string]string{
			"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv4.conf.all.rp_filter": "0",
			"net.ipv4.conf.default.rp_filter": "0", "net.ipv4.conf.all.send_redirects": "0",
		}))
		must(t, x.router.AddAddress("under", netip.PrefixFrom(addrOf(id).Addr(), 24)))
		must(t, x.host.AddAddress("lan", netip.MustParsePrefix(host4(id)+"/16")))
		must(t, x.host.AddAddress("lan", netip.MustParsePrefix(host6(id)+"/64")))
		gate4, gate6 := netip.MustParseAddr(fmt.Sprintf("10.%d.0.1", id)), netip.MustParseAddr(fmt.Sprintf("fd00:%d::1", id))
		must(t, x.router.AddAddress("lan", netip.PrefixFrom(gate4, 16)))
		must(t, x.router.AddAddress("lan", netip.PrefixFrom(gate6, 64)))
		must(t, x.host.AddRoute(netip.MustParsePrefix("10.0.0.0/8"), "lan", gate4))
		must(t, x.host.AddRoute(netip.MustParsePrefix("fd00::/16"), "lan", gate6))
		var env Env
		must(t, x.router.Do(func() error {
			o := socketHere()
			o.NoOffload = of.noOffloads[id]
			sock, err := underlay.Listen(addrOf(id), o)
			if err != nil {
				return err
			}
			dev, err := tun.Open("galleon0", tun.Options{MTU: of.mtu, NoOffload: of.noOffloads[id]})
			if err != nil {
				return errors.Join(err, sock.Close())
			}
			env.Socket, env.Device = sock, dev
			return nil
		}))
		must(t, x.router.Up("galleon0"))
		must(t, x.router.AddRoute(netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", other)), "galleon0", netip.Addr{}))
		must(t, x.router.AddRoute(netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/32", other)), "galleon0", netip.Addr{}))
		x.mesh = New(env)
		if of.oldPeers {
			x.mesh.offers &^= wire.FeaturePartial
		}
		c := conf
		c.Self, c.Announce = id, conf.Routers[id-1].Grants
		must(t, x.mesh.Set(c, creds[id]))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- x.mesh.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("router %d ended: %v", id, err)
			}
		})
	}
	wait(t, "the routers mesh", func() bool {
		for id := topo.RouterID(1); id <= 2; id++ {
			x, err := s[id].mesh.Explain(3 - id)
			if err != nil || !x.Reachable || x.MTU != of.mtu || len(s[id].mesh.Status().Prefixes) < 4 {
				return false
			}
		}
		return true
	})
	return s
}

// namespace makes one that ends with the test.
func namespace(t *testing.T, name string) *lab.NS {
	t.Helper()
	if noOffloads || oldPeers {
		t.Skip("what these flags take away, the tests with kernels take away themselves")
	}
	n, err := lab.NewNS(name)
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skip("it takes root to make network namespaces: ", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	if err := n.Do(func() error {
		d, err := tun.Open("try%d", tun.Options{})
		if err != nil {
			return err
		}
		return d.Close()
	}); err != nil {
		t.Skip("no TUN devices for this process: ", err)
	}
	// Nobody waits a second to see whether its address is another's.
	must(t, n.Sysctl(map[string]string{"net.ipv6.conf.all.accept_dad": "0", "net.ipv6.conf.default.accept_dad": "0"}))
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(2*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// wiretap is a packet socket (packet(7)) at an interface, with vnet headers: it sends what a stack would, super-packets
// too, and sees what comes in before the stack does anything with it.
type wiretap struct {
	f     *os.File
	index int
	link  []byte // the Ethernet header of what is sent, on a cable
}

func tapOf(t *testing.T, n *lab.NS, name string) (w wiretap) {
	t.Helper()
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // network order
	must(t, n.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		w = wiretap{f: os.NewFile(uintptr(fd), "packet socket"), index: i.Index}
		if len(i.HardwareAddr) > 0 {
			w.link = append(make([]byte, 6), i.HardwareAddr...)
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}))
	}))
	t.Cleanup(func() { w.f.Close() })
	return w
}

const linkLen = 14 // octets of an Ethernet header

// toward makes what is sent go to an interface of another namespace.
func (w *wiretap) toward(t *testing.T, n *lab.NS, name string) {
	t.Helper()
	must(t, n.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err == nil {
			copy(w.link, i.HardwareAddr)
		}
		return err
	}))
}

func (w wiretap) send(p tun.Packet) error {
	proto := uint16(unix.ETH_P_IP)
	if p.Buf[0]>>4 == 6 {
		proto = unix.ETH_P_IPV6
	}
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], proto)
	b := make([]byte, offload.VnetLen, offload.VnetLen+len(w.link)+2+len(p.Buf))
	if len(w.link) > 0 {
		b = append(append(b, w.link...), be[:]...)
		p.Start, p.Head = p.Start+linkLen, p.Head+linkLen
	}
	p.PutVnet(b)
	b = append(b, p.Buf...)
	to := unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(be[:]), Ifindex: w.index}
	raw, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Write(func(fd uintptr) bool {
		inner = unix.Sendto(int(fd), b, 0, &to)
		return inner != unix.EAGAIN
	}); err != nil {
		return err
	}
	return inner
}

// receive gives packets from a source, cut and completed, until it has n, or none has come for d.
func (w wiretap) receive(t *testing.T, from4, from6 netip.Addr, n int, d time.Duration) (got [][]byte) {
	t.Helper()
	b := make([]byte, 1<<17)
	for len(got) < n {
		must(t, w.f.SetReadDeadline(time.Now().Add(d)))
		k, err := w.f.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatalf("read a packet socket: %v", err)
		}
		p := tun.Packet{Buf: append([]byte(nil), b[offload.VnetLen:k]...)}
		if len(w.link) > 0 {
			p.Buf = p.Buf[linkLen:]
			start := b[6:8] // of the vnet header: where the checksum begins, in the frame
			binary.NativeEndian.PutUint16(start, max(binary.NativeEndian.Uint16(start), linkLen)-linkLen)
		}
		if ip, ok := parseIP(p.Buf); !ok || ip.src != from4 && ip.src != from6 {
			continue
		} else if len(ip.pkt) < len(p.Buf) {
			p.Buf = ip.pkt // padding of a short frame
		}
		if p.Meta, err = offload.ParseVnet(b, p.Buf); err != nil {
			t.Fatalf("%v: %x", err, b[:min(k, 80)])
		}
		var l tun.Lowering
		if err := l.Init(p, tun.Offloads{}); err != nil {
			t.Fatalf("%v: %+v %x", err, p.Meta, p.Buf[:min(len(p.Buf), 80)])
		}
		for one, ok := l.Next(); ok; one, ok = l.Next() {
			got = append(got, append([]byte(nil), one.Buf...))
		}
	}
	return got
}
