package fabric

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// Streams and datagrams of real sockets, of every size and with UDP_SEGMENT, between hosts behind two routers: what
// their own kernels leave undone is right at the other end.
func TestSocketsThroughTheTunnel(t *testing.T) {
	for _, name := range []string{"today", "without to with", "with to without", "old peers"} {
		t.Run(name, func(t *testing.T) {
			s := realSites[name].start(t)
			reachable(t, s)
			for _, to := range []string{host4(2), host6(2)} {
				streamsBetween(t, s, to)
				datagramsBetween(t, s, to)
			}
			for _, x := range s[1:] {
				for why, n := range x.mesh.Status().Drops {
					if why != "link-local" {
						t.Errorf("%s dropped %d as %s", x.id, n, why)
					}
				}
			}
		})
	}
}

// streamsBetween sends on four connections at once, and hears it all back.
func streamsBetween(t *testing.T, s [3]*site, to string) {
	t.Helper()
	l, err := s[2].host.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(to), 0).String())
	must(t, err)
	defer l.Close()
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	m := newMix(7, host4(1), host4(2), host6(1), host6(2), 1400)
	var flows sync.WaitGroup
	for i := range 4 {
		sent := m.octets(1<<20 + 977*i)
		c, err := s[1].host.Dial(t.Context(), "tcp", l.Addr().String())
		must(t, err)
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		flows.Go(func() {
			c.Write(sent)
			c.(*net.TCPConn).CloseWrite()
		})
		flows.Go(func() {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("to %s: sent %d octets, %d came back, the first other one at %d: %v", to, len(sent), len(got), differ(got, sent), err)
			}
		})
	}
	flows.Wait()
}

// datagramsBetween sends datagrams of many sizes, fragments among them, and rows of them.
func datagramsBetween(t *testing.T, s [3]*site, to string) {
	t.Helper()
	c, d := udpBetween(t, s, to)
	m := newMix(8, host4(1), host4(2), host6(1), host6(2), 1400)
	buf := make([]byte, 1<<16)
	for _, size := range [][2]int{
		{0, 0}, {1, 0}, {2, 0}, {3, 0}, {99, 0}, {1300, 0}, {1352, 0}, {1372, 0}, {1400, 0}, {5000, 0}, {20001, 0}, // the last are fragments
		{10 * 1200, 1200}, {10*1200 + 1, 1200}, {50*1000 + 999, 1000}, {64 * 7, 7}, {3, 1},
	} {
		sent := m.octets(size[0])
		must(t, c.option(unix.IPPROTO_UDP, unix.UDP_SEGMENT, size[1]))
		if _, err := c.Write(sent); err != nil {
			t.Fatalf("send %v: %v", size, err)
		}
		for rest := sent; ; {
			want := rest
			if size[1] > 0 {
				want = rest[:min(size[1], len(rest))]
			}
			rest = rest[len(want):]
			must(t, d.SetReadDeadline(time.Now().Add(5*time.Second)))
			n, _, err := d.ReadFrom(buf)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("to %s, of %v: got %d octets, want %d, %v", to, size, n, len(want), err)
			}
			if len(rest) == 0 {
				break
			}
		}
	}
}

// udp is a socket whose options can be set.
type udp struct {
	*net.UDPConn
	v6 bool
}

func (c udp) option(level, name, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), level, name, value) })
	return errors.Join(err, inner)
}

// tos sets the octet of DSCP and ECN of what is sent.
func (c udp) tos(v int) error {
	if c.v6 {
		return c.option(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, v)
	}
	return c.option(unix.IPPROTO_IP, unix.IP_TOS, v)
}

// readTOS reads a datagram and that octet.
func (c udp) readTOS(b []byte, d time.Duration) (n int, tos byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		return 0, 0, err
	}
	oob := make([]byte, 128)
	n, k, _, _, err := c.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		return 0, 0, err
	}
	all, err := syscall.ParseSocketControlMessage(oob[:k])
	if err != nil {
		return 0, 0, err
	}
	for _, m := range all {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS || m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS {
			return n, m.Data[0], nil
		}
	}
	return 0, 0, fmt.Errorf("no traffic class beside %d octets", n)
}

// udpBetween is a socket of the first host that is connected to one of the second.
func udpBetween(t *testing.T, s [3]*site, to string) (c, d udp) {
	t.Helper()
	addr := netip.MustParseAddr(to)
	l, err := s[2].host.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
	must(t, err)
	d = udp{l.(*net.UDPConn), addr.Is6()}
	must(t, d.SetReadBuffer(8<<20))
	if addr.Is6() {
		must(t, d.option(unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1))
	} else {
		must(t, d.option(unix.IPPROTO_IP, unix.IP_RECVTOS, 1))
	}
	x, err := s[1].host.Dial(t.Context(), "udp", d.LocalAddr().String())
	must(t, err)
	c = udp{x.(*net.UDPConn), addr.Is6()}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c, d
}

const markAll = `table inet marks {
	chain hop {
		type filter hook prerouting priority -300
		iifname "under" ip ecn set ce
	}
}
`

// A hop between two routers marks every packet of the tunnel: hosts that know the mark hear of it, for each datagram
// of a row, and those that do not lose the packet (RFC 6040); DSCP arrives as it was sent, with and without.
func TestAHopThatMarks(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("no nft to mark packets with: ", err)
	}
	s := realSites["today"].start(t)
	reachable(t, s)
	for _, marked := range []bool{false, true} {
		if marked {
			run(t, s[2].router, exec.Command(nft, "-f", "-"), markAll)
		}
		for _, to := range []string{host4(2), host6(2)} {
			c, d := udpBetween(t, s, to)
			buf := make([]byte, 2000)
			for _, dscp := range []int{0, 8, 46, 48} {
				for inner := range 4 {
					must(t, c.tos(dscp<<2|inner))
					want := byte(inner)
					if marked {
						want = decapsulated[inner][ce]
					}
					for _, seg := range []int{0, 1000} {
						must(t, c.option(unix.IPPROTO_UDP, unix.UDP_SEGMENT, seg))
						datagrams := 1
						if seg > 0 {
							datagrams = 20
						}
						before := s[2].mesh.Status().Drops["congestion-mark"]
						_, err := c.Write(make([]byte, 1000*datagrams))
						must(t, err)
						if want == dropped {
							wait(t, "drops", func() bool { return s[2].mesh.Status().Drops["congestion-mark"] >= before+uint64(datagrams) })
							continue
						}
						for range datagrams {
							n, tos, err := d.readTOS(buf, 5*time.Second)
							if err != nil || n != 1000 || tos != byte(dscp<<2)|want {
								t.Fatalf("marked %v, to %s, %d inside: %d octets with %#x, want %#x: %v", marked, to, inner, n, tos, byte(dscp<<2)|want, err)
							}
						}
					}
				}
			}
			if n, tos, err := d.readTOS(buf, 20*time.Millisecond); err == nil {
				t.Errorf("marked %v, to %s: another datagram of %d octets with %#x", marked, to, n, tos)
			}
		}
	}
}

// run runs a command in a namespace.
func run(t *testing.T, n *lab.NS, cmd *exec.Cmd, input string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	p, err := n.Start(cmd)
	must(t, err)
	<-p.Done()
	if !cmd.ProcessState.Success() {
		t.Fatalf("%s: %s: %s", cmd, cmd.ProcessState, out.String())
	}
}
