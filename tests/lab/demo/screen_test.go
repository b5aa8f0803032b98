package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tell plays the same story on a screen of a given width.
func tell(t *testing.T, width int) string {
	var b strings.Builder
	synctest.Test(t, func(*testing.T) {
		s := newScreen(&b, width, time.Now())
		s.title(1, 9, "the lab")
		for range 7 {
			s.progress("uploaded a little")
			time.Sleep(time.Second)
		}
		s.say("done\nin two lines")
		s.show("A  B\n1  2\n")
	})
	return b.String()
}

func TestScreenElsewhere(t *testing.T) {
	want := `
    0.0s  1/9  the lab
    0.0s  uploaded a little
    5.0s  uploaded a little
    7.0s  done
          in two lines
            │ A  B
            │ 1  2
`
	if got := tell(t, 0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestScreenTerminal: progress is written over, cut to the width, and leaves no trace.
func TestScreenTerminal(t *testing.T) {
	got := tell(t, 24)
	if n := strings.Count(got, "\r\x1b[K"); n != 8 {
		t.Errorf("%d times back to the first column, want 7 lines of progress and once to remove the last:\n%q", n, got)
	}
	if !strings.Contains(got, "\r\x1b[K    0.0s  uploaded a l…\r") || !strings.Contains(got, "\r\x1b[K    7.0s  done\n") {
		t.Errorf("%q", got)
	}
}
