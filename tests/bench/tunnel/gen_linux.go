package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The payload of a packet begins with
//
//	octets  0       4       8
//	        ┌───────┬───────┬─────────
//	        │ magic │ trial │ zeros …
//	        └───────┴───────┴─────────
//
// so that the sink counts only what belongs to the trial under way, and no latecomer of an earlier one.
const (
	genMagic   = 0x47616c6c // Gall
	genPayload = 8          // octets at least
)

// genReport is what the generator prints.
type genReport struct {
	Sent    uint64  `json:"sent"`
	Refused uint64  `json:"refused"` // by the kernel: counted neither as sent nor as lost
	Seconds float64 `json:"seconds"`
}

// Of the pace.
const (
	genTick = 200 * time.Microsecond // between two bursts
	// genCatchUp is how much of the schedule is made up for after the generator was kept from running; what is older is
	// left out, since a burst that long is not the rate that was asked for.
	genCatchUp = time.Millisecond
)

// genMain is the generator: one process for each trial.
func genMain(args []string) error {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	from := flags.String("from", "", "address to send from")
	to := flags.String("to", "", "address and port to send to")
	size := flags.Int("size", genPayload, "octets of UDP payload")
	rate := flags.Float64("rate", 0, "packets per second; 0 is as fast as it can")
	last := flags.Duration("for", time.Second, "how long")
	trial := flags.Uint("trial", 1, "number of the trial")
	if err := flags.Parse(args); err != nil {
		return err
	}
	src, err := netip.ParseAddr(*from)
	if err != nil {
		return err
	}
	dst, err := netip.ParseAddrPort(*to)
	if err != nil {
		return err
	}
	if *size < genPayload {
		return fmt.Errorf("-size %d: want %d or more", *size, genPayload)
	}
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // sleeps end when they should; without it 50 µs later
	fd, err := udpSocket(netip.AddrPortFrom(src, 0))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: dst.Addr().As4(), Port: int(dst.Port())}); err != nil {
		return fmt.Errorf("connect to %s: %w", dst, err)
	}
	r, err := generate(fd, numbered(*size, uint32(*trial)), *rate, *last)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// numbered makes the packets of a trial.
func numbered(size int, trial uint32) *batch {
	b := newBatch(size)
	for _, buf := range b.bufs {
		binary.BigEndian.PutUint32(buf, genMagic)
		binary.BigEndian.PutUint32(buf[4:], trial)
	}
	return b
}

// generate sends at a rate for a time.
func generate(fd int, b *batch, rate float64, last time.Duration) (genReport, error) {
	var r genReport
	begin := monotonic()
	end := begin + last
	base, done := begin, 0.0 // the schedule: rate packets a second since base, of which done are out
	now := begin
	for ; now < end; now = monotonic() {
		due := batchSize
		if rate > 0 {
			if behind := rate*(now-base).Seconds() - done; behind > rate*genCatchUp.Seconds() {
				done += behind - rate*genCatchUp.Seconds()
			}
			due = int(rate*(now-base).Seconds() - done)
		}
		for due > 0 {
			n, err := b.pass(unix.SYS_SENDMMSG, fd, min(due, batchSize), 0)
			switch {
			case err == nil:
				r.Sent += uint64(n)
			case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNREFUSED):
				n = 1
				r.Refused++
			default:
				return r, fmt.Errorf("send: %w", err)
			}
			due -= n
			done += float64(n)
		}
		if rate > 0 {
			sleep(now + genTick)
		}
	}
	r.Seconds = (now - begin).Seconds()
	return r, nil
}
