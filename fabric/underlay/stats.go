package underlay

import "sync/atomic"

// Stats counts datagrams since the socket was made: one for each in a run. All numbers only grow, but for
// what is said of the present: Offloads, Lanes, and some in Readers.
type Stats struct {
	In, Out             uint64 // Galleon datagrams
	InBytes, OutBytes   uint64 // their octets
	InRuns, OutRuns     uint64 // runs that came up from the kernel, or were given to it, whole
	QUICIn, QUICOut     uint64 // QUIC datagrams to and from the real network
	CarriedIn           uint64 // QUIC datagrams brought by the carrier
	CarriedOut          uint64 // QUIC datagrams given to it
	KernelDrops         uint64 // arrived, but a receive buffer was full: the sum over Readers
	QueueDrops          uint64 // QUIC datagrams for which the queue was full
	Truncated           uint64 // longer than the buffer they were read into
	Strange             uint64 // neither Galleon nor QUIC, empty, or from a virtual address
	SendErrors, TooLong uint64 // datagrams that the kernel refused; of these, for their size
	Offloads            Offloads
	Lanes               int // source ports
	Readers             []ReaderStats
}

// ReaderStats are those of one reader's receive buffer.
type ReaderStats struct {
	Buffer int    // its size in octets, as granted; 0 on a simulated network
	Queued int    // octets in it now, in the kernel's count: with what each packet costs to keep
	Drops  uint64 // did not fit. A run that was dropped whole counts once: the kernel tells no more
}

// counters are Stats as they are counted.
type counters struct {
	in, out, inBytes, outBytes, inRuns, outRuns         atomic.Uint64
	quicIn, quicOut, carriedIn, carriedOut              atomic.Uint64
	queueDrops, truncated, strange, sendErrors, tooLong atomic.Uint64
}

// Stats reads the counters.
func (s *Socket) Stats() Stats {
	c := &s.count
	st := Stats{
		In: c.in.Load(), Out: c.out.Load(), InBytes: c.inBytes.Load(), OutBytes: c.outBytes.Load(),
		InRuns: c.inRuns.Load(), OutRuns: c.outRuns.Load(),
		QUICIn: c.quicIn.Load(), QUICOut: c.quicOut.Load(),
		CarriedIn: c.carriedIn.Load(), CarriedOut: c.carriedOut.Load(),
		QueueDrops: c.queueDrops.Load(), Truncated: c.truncated.Load(), Strange: c.strange.Load(),
		SendErrors: c.sendErrors.Load(), TooLong: c.tooLong.Load(),
		Offloads: s.net.offloads(), Lanes: s.net.laneCount(), Readers: s.net.readerStats(),
	}
	for _, r := range st.Readers {
		st.KernelDrops += r.Drops
	}
	return st
}
