package accuracy

import (
	"context"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// watch looks at the network itself while something is measured.
type watch struct {
	b       *bench
	began   time.Time
	before  time.Duration
	cpu     time.Duration // that the network used, after stop
	cancel  context.CancelFunc
	control chan time.Duration
}

func (b *bench) watch() *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{b: b, began: time.Now(), before: b.stats().CPU, cancel: cancel, control: make(chan time.Duration, 1)}
	b.err = b.Network().ResetLateness()
	go func() { w.control <- oversleep(ctx) }()
	return w
}

// stop says what the network used, lost and delayed. It is allowed to be late by what this machine makes
// any thread late, and a little for its work.
func (w *watch) stop() []Row {
	st, took := w.b.stats(), time.Since(w.began)
	w.cpu = st.CPU - w.before
	w.cancel()
	machine := <-w.control
	var dropped uint64
	for _, s := range w.b.Sites() {
		d, _ := s.Router.Dropped(lab.WANInterface)
		dropped += d
	}
	return []Row{
		between("processor cores that it took", "", w.cpu.Seconds()/took.Seconds(), 0, 1, ""),
		near("delivered late by, 99 of 100 packets", 0, st.Late.P99, 2*time.Millisecond+4*machine),
		between("packets lost by the lab itself", "0", float64(dropped+st.Overflow), 0, 0, ""),
	}
}

// oversleep measures how late this machine wakes a thread that asks for a millisecond: 99 of 100 times, less.
func oversleep(ctx context.Context) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nap, most = time.Millisecond, 1 << 16
	var late []time.Duration
	for ctx.Err() == nil && len(late) < most {
		began, t := time.Now(), unix.NsecToTimespec(int64(nap))
		unix.Nanosleep(&t, nil)
		late = append(late, max(0, time.Since(began)-nap))
	}
	if len(late) == 0 {
		return 0
	}
	slices.Sort(late)
	return late[len(late)*99/100]
}
