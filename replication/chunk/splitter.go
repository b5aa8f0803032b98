package chunk

import "io"

// bufferSize lets several chunks be cut between two moves of what is left over to the buffer's start.
const bufferSize = 4 * Max

// Splitter cuts a stream into chunks as it is written, and hands each to Emit. It holds bufferSize bytes
// and never more. The cuts do not depend on how the stream was divided into writes.
type Splitter struct {
	// Emit takes one chunk, which is only its own until it returns. An error stops the stream.
	Emit func(data []byte) error

	buf        []byte // grows to bufferSize, so that a short stream does not pay for it
	start, end int    // what is held is buf[start:end]; less than Max of it between calls
}

// Write takes more of the stream.
func (s *Splitter) Write(p []byte) (int, error) {
	if need := s.end + len(p); need > len(s.buf) && len(s.buf) < bufferSize {
		size := min(max(need, 2*len(s.buf)), bufferSize)
		s.buf = append(make([]byte, 0, size), s.buf[:s.end]...)[:size]
	}
	n := 0
	for {
		c := copy(s.buf[s.end:], p[n:])
		n, s.end = n+c, s.end+c
		for s.end-s.start >= Max {
			if err := s.emit(); err != nil {
				return n, err
			}
		}
		if n == len(p) {
			return n, nil
		}
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
}

// Flush ends the stream: it emits what is left. The splitter can then be used for another stream.
func (s *Splitter) Flush() error {
	for s.end > s.start {
		if err := s.emit(); err != nil {
			return err
		}
	}
	s.start, s.end = 0, 0
	return nil
}

func (s *Splitter) emit() error {
	data := s.buf[s.start:s.end]
	n := Cut(data)
	s.start += n
	return s.Emit(data[:n:n])
}

// Split cuts everything that r gives and hands each chunk to emit.
func Split(r io.Reader, emit func(data []byte) error) error {
	s := Splitter{Emit: emit}
	if _, err := io.Copy(&s, r); err != nil {
		return err
	}
	return s.Flush()
}
