package world

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnHourOfNothing lets a cluster stand for an hour: it grows no goroutines, elects nobody, and writes
// nothing into the catalog.
func TestAnHourOfNothing(t *testing.T) {
	Run(t, func(w *World) {
		w.Probe = 500 * time.Millisecond
		w.Found(Hangzhou)
		w.Join(Tokyo, Queretaro)
		w.Connected(Hangzhou, Tokyo, Queretaro)
		w.voters(3)
		w.Pass(2 * minute)
		w.Agree()
		before := still(w)
		w.Step("an hour passes", func() { w.Pass(time.Hour) })
		after := still(w)
		if after.goroutines > before.goroutines+before.goroutines/10 {
			t.Errorf("%d goroutines became %d", before.goroutines, after.goroutines)
		}
		if after.index != before.index || after.term != before.term {
			t.Errorf("index %d, term %d became index %d, term %d", before.index, before.term, after.index, after.term)
		}
		w.Connected(Hangzhou, Tokyo, Queretaro)
	})
}

type stillness struct {
	goroutines  int
	index, term uint64
}

func still(w *World) stillness {
	w.T.Helper()
	st, err := w.Leader().Status()
	if err != nil {
		w.T.Fatal(err)
	}
	synctest.Wait()
	return stillness{runtime.NumGoroutine(), st.Applied, st.Term}
}
