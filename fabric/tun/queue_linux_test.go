package tun_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/tun"
)

// The measurements behind DefaultQueueLen and Options.MaxSuper. Each runs for a while however often it is
// asked to: go test ./fabric/tun -run - -bench Queue -benchtime 1x
const (
	settle  = time.Second
	measure = 2500 * time.Millisecond
)

// BenchmarkQueue has greedy TCP flows and a ping beside them.
func BenchmarkQueue(b *testing.B) {
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		for _, flows := range []int{1, 4} {
			for _, queue := range []int{50, 100, 200, 300, 500, 1000} {
				b.Run(fmt.Sprintf("rtt=%v/flows=%d/queue=%d", 2*delay, flows, queue), func(b *testing.B) {
					p := newTunnel(b, delay, tun.Options{QueueLen: queue})
					tcp, udp, octets := p.sink(b)
					for range flows {
						c, err := net.Dial("tcp", tcp.String())
						if err != nil {
							b.Fatal(err)
						}
						greedy(b, c)
					}
					pings(b, udp, settle)
					s0, o0, began := stats(b, p), octets.Load(), time.Now()
					rtt, lost := pings(b, udp, measure)
					took := time.Since(began).Seconds()
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(float64(octets.Load()-o0)*8/took/1e6, "Mbit/s")
					b.ReportMetric(milliseconds(rtt, 50), "ms-p50")
					b.ReportMetric(milliseconds(rtt, 99), "ms-p99")
					b.ReportMetric(float64(stats(b, p).Dropped-s0.Dropped), "dropped")
					b.ReportMetric(float64(lost), "pings-lost")
				})
			}
		}
	}
}

func stats(b *testing.B, p *pair) tun.Stats {
	b.Helper()
	s, err := p.a.Stats()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkQueueBursts sends datagrams of 1,200 octets in bursts of a millisecond, as senders with a timer do.
func BenchmarkQueueBursts(b *testing.B) {
	for _, queue := range []int{50, 100, 200, 300, 500, 1000} {
		for _, rate := range []int{50_000, 100_000, 200_000} {
			b.Run(fmt.Sprintf("queue=%d/rate=%d", queue, rate), func(b *testing.B) {
				p := newTunnel(b, 0, tun.Options{QueueLen: queue})
				_, u := p.listen(b, hostB4)
				c, err := net.Dial("udp", u.LocalAddr().String())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				payload := []byte(strings.Repeat("x", 1200))
				s0, sent, began := stats(b, p), 0, time.Now()
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for time.Since(began) < measure/2 {
					<-tick.C
					for due := int(time.Since(began).Seconds() * float64(rate)); sent < due; sent++ {
						c.Write(payload)
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(sent)/time.Since(began).Seconds(), "sent/s")
				b.ReportMetric(100*float64(stats(b, p).Dropped-s0.Dropped)/float64(sent), "%lost")
			})
		}
	}
}

// BenchmarkQueueMaxSuper has one TCP flow of this host, or of a host behind it whose packets it forwards, and
// bounds of super-packets. It needs ip(8).
func BenchmarkQueueMaxSuper(b *testing.B) {
	for _, octets := range []int{0, 64000, 62000, 40000} {
		for _, from := range []string{"local", "forwarded"} {
			b.Run(fmt.Sprintf("max=%d/%s", octets, from), func(b *testing.B) {
				p := newTunnel(b, 0, tun.Options{MaxSuper: octets})
				tcp, _, got := p.sink(b)
				dial := net.Dial
				if from == "forwarded" {
					dial = behind(b, p)
				}
				c, err := dial("tcp", tcp.String())
				if err != nil {
					b.Fatal(err)
				}
				greedy(b, c)
				<-time.After(settle)
				s0, o0, began := stats(b, p), got.Load(), time.Now()
				<-time.After(measure)
				o1, s1, took := got.Load(), stats(b, p), time.Since(began).Seconds()
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(o1-o0)*8/took/1e6, "Mbit/s")
				b.ReportMetric(float64(o1-o0)/float64(s1.Read-s0.Read), "octets/packet")
			})
		}
	}
}

// behind makes a host C whose way to host B is through host A, and returns what connects from there.
func behind(b *testing.B, p *pair) func(network, addr string) (net.Conn, error) {
	b.Helper()
	inC, thread := namespaceOf(b), 0
	inC(func() { thread = unix.Gettid() })
	ip := func(args string) {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			b.Errorf("ip %s: %v: %s", args, err, out)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		b.Fatal(err)
	}
	ip(fmt.Sprintf("link add toC mtu %d type veth peer name toA mtu %d netns %d", mtu, mtu, thread))
	b.Cleanup(func() { ip("link del toC") })
	ip("addr add 10.79.0.1/24 dev toC")
	ip("link set toC up")
	inC(func() {
		ip("addr add 10.79.0.2/24 dev toA")
		ip("link set toA up")
		ip("route add default via 10.79.0.1")
	})
	p.inB(func() { ip("route add 10.79.0.0/24 dev " + p.b.Name()) })
	return func(_, addr string) (c net.Conn, err error) {
		to := net.TCPAddr{}
		if a, err := net.ResolveTCPAddr("tcp4", addr); err == nil {
			to = *a
		}
		inC(func() {
			var fd int
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return
			}
			f := os.NewFile(uintptr(fd), "tcp")
			defer f.Close()
			if err = unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err == nil {
				c, err = net.FileConn(f)
			}
		})
		return c, err
	}
}
