package replication

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestCutIsForGood: a cut stream stays cut, also for who sets a deadline after it; what is there to be read is
// no longer of interest.
func TestCutIsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := newStream(time.Millisecond, &link{}, &link{}, -1)
		c := &conduit{Conn: b}
		if _, err := a.Write([]byte("more than enough")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		p := make([]byte, 4)
		if n, err := c.Read(p); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		c.cut()
		for range 3 {
			if n, err := c.Read(p); n != 0 || err == nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			if n, err := c.Write(p); n != 0 || err == nil {
				t.Errorf("wrote %d bytes, %v", n, err)
			}
		}
	})
}

// TestCutWakes: a Read and a Write under way end at a cut, and by themselves after silence.
func TestCutWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, cut := range []bool{true, false} {
			_, b, _ := newStream(time.Millisecond, &link{}, &link{rate: 1}, -1)
			c := &conduit{Conn: b}
			ended := make(chan time.Duration, 2)
			began := time.Now()
			go func() {
				_, err := c.Read(make([]byte, 1))
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
				ended <- time.Since(began)
			}()
			go func() {
				if _, err := c.Write(bytes.Repeat([]byte{1}, 4<<20)); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
					t.Errorf("write: %v", err)
				}
				ended <- time.Since(began)
			}()
			want := silence
			if cut {
				want = 3 * time.Second
				time.Sleep(want)
				c.cut()
			}
			for range 2 {
				if took := <-ended; took != want {
					t.Errorf("cut %t: ended after %s", cut, took)
				}
			}
		}
	})
}

// TestSlowLink: a frame that takes longer than silence to cross keeps its stream alive, for it moves.
func TestSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.change(func() { w.rate = 5000 }) // a chunk of 128 KiB takes 26 s
		data := random(1, 600_000)
		a.put("kept", "k", data)
		w.set()
		w.until(time.Hour, "it is there", func() bool { return b.store.Stats().Objects == 1 })
		w.has(b, "kept", "k", data)
		if n := b.count("flow-broken"); n != 0 {
			t.Errorf("the stream broke %d times", n)
		}
		w.settle()
	})
}
