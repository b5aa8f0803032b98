package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// PingConfig says how to ping.
type PingConfig struct {
	To       netip.Addr
	From     netip.Addr    // source address; the kernel's choice when zero
	Count    int           // echo requests to send; 0 is until stopped
	Interval time.Duration // between requests; 100 ms when 0
	Timeout  time.Duration // for the last reply; 1 s when 0
	Size     int           // bytes of the IP packet; 64 when 0
}

// Ping is an ICMP echo sequence under way.
type Ping struct {
	cfg  PingConfig
	id   uint16
	v6   bool
	conn *net.IPConn
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	sent   []time.Time     // by sequence
	rtts   []time.Duration // by sequence, 0 without reply
	last   int             // highest sequence that was answered
	lastAt time.Time       // of the latest reply, or of the beginning
	report PingReport
}

// maxPing bounds a ping's memory: a day at the usual interval.
const maxPing = 1 << 20

// Ping sends echo requests from the namespace and waits for the replies.
func (n *NS) Ping(ctx context.Context, cfg PingConfig) (PingReport, error) {
	if cfg.Count == 0 {
		cfg.Count = 1
	}
	p, err := n.StartPing(ctx, cfg)
	if err != nil {
		return PingReport{}, err
	}
	<-p.done
	return p.Report(), ctx.Err()
}

// StartPing begins to ping. It goes on until Count requests are sent, Stop, or the end of ctx.
func (n *NS) StartPing(ctx context.Context, cfg PingConfig) (*Ping, error) {
	if cfg.Interval == 0 {
		cfg.Interval = 100 * time.Millisecond
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Size == 0 {
		cfg.Size = 64
	}
	p := &Ping{cfg: cfg, id: uint16(rand.Uint32()), v6: cfg.To.Is6(), done: make(chan struct{}), last: -1}
	network, from := "ip4:icmp", ""
	if p.v6 {
		network = "ip6:ipv6-icmp"
	}
	if cfg.From.IsValid() {
		from = cfg.From.String()
	}
	c, err := n.ListenPacket(network, from)
	if err != nil {
		return nil, fmt.Errorf("ping %v from %s: %w", cfg.To, n.name, err)
	}
	p.conn = c.(*net.IPConn)
	if err := p.prepare(); err != nil {
		c.Close()
		return nil, fmt.Errorf("ping %v from %s: %w", cfg.To, n.name, err)
	}
	ctx, p.stop = context.WithCancel(ctx)
	go p.run(ctx)
	return p, nil
}

// Stop ends the sending, waits for replies on their way, and gives the report.
func (p *Ping) Stop() PingReport {
	p.stop()
	<-p.done
	return p.Report()
}

// Done is closed when the ping has ended.
func (p *Ping) Done() <-chan struct{} { return p.done }

// prepare has the kernel stamp what arrives, so that a busy machine that is slow to wake this
// process does not lengthen the RTT, and forbids it to fragment what is sent.
func (p *Ping) prepare() error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		if p.v6 {
			sockErr = errors.Join(sockErr, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
		} else {
			sockErr = errors.Join(sockErr, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
		}
	})
	return errors.Join(err, sockErr)
}

func (p *Ping) run(ctx context.Context) {
	defer close(p.done)
	received := make(chan struct{})
	go func() {
		defer close(received)
		p.receive()
	}()
	p.lastAt = time.Now()
	tick := time.NewTicker(p.cfg.Interval)
	defer tick.Stop()
	for seq := 0; seq < maxPing && (p.cfg.Count == 0 || seq < p.cfg.Count) && ctx.Err() == nil; seq++ {
		if seq > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				continue
			}
		}
		p.send(seq)
	}
	p.conn.SetReadDeadline(time.Now().Add(p.cfg.Timeout))
	if p.complete() {
		p.conn.SetReadDeadline(time.Now())
	}
	<-received
	p.conn.Close()
	p.stop()
}

func (p *Ping) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report.Received == len(p.sent)
}

// ICMP and IP header lengths.
const (
	icmpHeader = 8
	ip4Header  = 20
	ip6Header  = 40
)

func (p *Ping) send(seq int) {
	typ, head := icmp.Type(ipv4.ICMPTypeEcho), ip4Header
	if p.v6 {
		typ, head = ipv6.ICMPTypeEchoRequest, ip6Header
	}
	// The sequence number on the wire has 16 bits; the data carries all of it.
	data := make([]byte, max(4, p.cfg.Size-head-icmpHeader))
	binary.BigEndian.PutUint32(data, uint32(seq))
	m := icmp.Message{Type: typ, Body: &icmp.Echo{ID: int(p.id), Seq: seq & 0xffff, Data: data}}
	b, err := m.Marshal(nil) // the kernel fills in ICMPv6's checksum
	if err == nil {
		p.mu.Lock()
		p.sent = append(p.sent, time.Now())
		p.rtts = append(p.rtts, 0)
		p.mu.Unlock()
		_, err = p.conn.WriteTo(b, &net.IPAddr{IP: p.cfg.To.AsSlice()})
	}
	if err != nil {
		p.mu.Lock()
		p.report.SendErrors++
		p.mu.Unlock()
	}
}

func (p *Ping) receive() {
	b, oob := make([]byte, 64<<10), make([]byte, 128)
	protocol := 1
	if p.v6 {
		protocol = 58
	}
	for {
		n, oobn, _, _, err := p.conn.ReadMsgIP(b, oob)
		if errors.Is(err, net.ErrClosed) || isTimeout(err) {
			return
		}
		if err != nil {
			continue // an ICMP error that the kernel reports on the socket
		}
		at, _ := control(oob[:oobn])
		packet := b[:n]
		if !p.v6 { // a raw IPv4 socket gives the IP header too, a raw IPv6 one does not
			packet = packet[min(n, int(packet[0]&15)*4):]
		}
		m, err := icmp.ParseMessage(protocol, packet)
		if err != nil {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		reply := m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply
		if !ok || !reply || echo.ID != int(p.id) || len(echo.Data) < 4 {
			continue
		}
		p.answer(int(binary.BigEndian.Uint32(echo.Data)), at)
		if p.cfg.Count > 0 && p.sentAll() && p.complete() {
			return
		}
	}
}

func (p *Ping) sentAll() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent) == p.cfg.Count
}

func (p *Ping) answer(seq int, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq >= len(p.sent) {
		return
	}
	if p.rtts[seq] != 0 {
		p.report.Duplicates++
		return
	}
	if seq < p.last {
		p.report.Reordered++
	}
	p.last = max(p.last, seq)
	p.rtts[seq] = max(1, at.Sub(p.sent[seq]))
	p.report.Received++
	p.report.LongestGap = max(p.report.LongestGap, at.Sub(p.lastAt))
	p.lastAt = at
}

// Report gives what was seen so far.
func (p *Ping) Report() PingReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report
	r.Sent = len(p.sent)
	for seq, rtt := range p.rtts {
		if rtt == 0 {
			r.Lost = append(r.Lost, seq)
		} else {
			r.RTTs = append(r.RTTs, rtt)
		}
	}
	if n := len(p.sent); n > 0 { // an outage that has not ended
		r.LongestGap = max(r.LongestGap, p.sent[n-1].Sub(p.lastAt))
	}
	return r
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
