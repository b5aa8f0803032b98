package main

import (
	"bufio"
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

	"golang.org/x/sys/unix"
)

// sinkReport is what the sink prints when it is asked.
type sinkReport struct {
	Trial   uint32 `json:"trial"`
	Packets uint64 `json:"packets"`
}

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
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		failed <- s.receive(fd) // ends with the process
	}()
	go func() { failed <- s.talk() }()
	return <-failed
}

// receive counts until the socket fails. The first octets of a packet are enough.
func (s *sink) receive(fd int) error {
	b := newBatch(genPayload)
	for {
		n, err := b.pass(unix.SYS_RECVMMSG, fd, batchSize, unix.MSG_WAITFORONE)
		if errors.Is(err, unix.EINTR) {
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
