package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// screen is where the story is told: a line for everything that happened, with the time since the beginning. What
// takes long has a line of its own that changes in place on a terminal, and comes every few seconds elsewhere.
type screen struct {
	out   io.Writer
	width int // columns of the terminal, 0 when out is not one
	begin time.Time

	mu    sync.Mutex
	live  bool      // the last line is to be overwritten
	shown time.Time // when a line of progress was last written
}

const (
	liveEvery  = 200 * time.Millisecond // on a terminal
	plainEvery = 5 * time.Second        // elsewhere
	indent     = "          "           // as wide as the time
)

func newScreen(out io.Writer, width int, begin time.Time) *screen {
	return &screen{out: out, width: width, begin: begin}
}

// title begins a step.
func (s *screen) title(number, of int, text string) {
	s.write(fmt.Sprintf("\n%s %2d/%d  %s", s.stamp(), number, of, text))
}

// say tells what happened, in one line or several.
func (s *screen) say(format string, args ...any) {
	lines := strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n")
	for i, l := range lines {
		head := indent
		if i == 0 {
			head = s.stamp() + "  "
		}
		lines[i] = strings.TrimRight(head+l, " ")
	}
	s.write(strings.Join(lines, "\n"))
}

// show prints text as it is, below what was said.
func (s *screen) show(text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(indent+"  │ "+l, " ")
	}
	s.write(strings.Join(lines, "\n"))
}

// progress tells how far something is, when it is time to.
func (s *screen) progress(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := plainEvery
	if s.width > 0 {
		every = liveEvery
	}
	now := time.Now()
	if now.Sub(s.shown) < every {
		return
	}
	s.shown = now
	text := s.stamp() + "  " + line
	if s.width == 0 {
		fmt.Fprintln(s.out, text)
		return
	}
	fmt.Fprint(s.out, "\r\x1b[K", clip(text, s.width-1))
	s.live = true
}

// write prints whole lines, over a line of progress if there is one.
func (s *screen) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.live = false
	}
	fmt.Fprintln(s.out, text)
}

func (s *screen) stamp() string {
	return fmt.Sprintf("%7.1fs", time.Since(s.begin).Seconds())
}

// clip keeps a line from being broken by the terminal, which could not be overwritten then.
func clip(s string, columns int) string {
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:max(0, columns-1)]) + "…"
}
