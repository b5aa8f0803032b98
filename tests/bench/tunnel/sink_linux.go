package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// sinkReport is what the sink prints when it is asked.
type sinkReport struct {
	Trial   uint32 `json:"trial"`
	Packets uint64 `json:"packets"`
}

// sinkTick is the time between two looks at the socket.
const sinkTick = 500 * time.Microsecond

// sink counts the packets of the trial under way. One thread receives; the other talks on standard input and output:
//
//	begin N  the trial is N now, nothing has arrived    → a report
//	count                                               → a report
type sink struct {
	trial   atomic.Uint32
	packets atomic.Uint64
}

func sinkMain(args []string) error {
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	listen := flags.String("listen", "", "address and port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(*listen)
	if err != nil {
		return err
	}
	fd, err := udpSocket(at)
	if err != nil {
		return err
	}
	s := new(sink)
	group, ctx := errgroup.WithContext(context.Background())
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() error {
		runtime.LockOSThread()
		return s.receive(ctx, fd)
	})
	group.Go(func() error {
		defer stop()
		return s.talk()
	})
	return group.Wait()
}

// receive counts until ctx ends or the socket fails. The first octets of a packet are enough. It looks at intervals, and is not woken: a sink that
// is costs one change of process for each packet, on the processors that it shares with what is measured. Its buffer has room for
// many intervals.
func (s *sink) receive(ctx context.Context, fd int) error {
	b := newBatch(genPayload)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for ctx.Err() == nil {
		n, err := b.pass(unix.SYS_RECVMMSG, fd, batchSize, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			sleep(monotonic() + sinkTick)
			continue
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		trial, good := s.trial.Load(), uint64(0)
		for i := range n {
			if b.msgs[i].n >= genPayload && binary.BigEndian.Uint32(b.bufs[i]) == genMagic && binary.BigEndian.Uint32(b.bufs[i][4:]) == trial {
				good++
			}
		}
		s.packets.Add(good)
	}
	return nil
}

func (s *sink) talk() error {
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		verb, number, _ := strings.Cut(in.Text(), " ")
		if verb == "begin" {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("read %q: %w", in.Text(), err)
			}
			s.trial.Store(uint32(n))
			s.packets.Store(0)
		}
		if err := out.Encode(sinkReport{s.trial.Load(), s.packets.Load()}); err != nil {
			return err
		}
	}
	return in.Err()
}
