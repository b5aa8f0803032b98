package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

const frameHead = 4 + 1

// writeFrame sends one frame in one write, within the time given.
func writeFrame(c net.Conn, k kind, body []byte, within time.Duration) error {
	if len(body)+1 > MaxFrame {
		return fmt.Errorf("a frame of %d bytes: at most %d", len(body)+1, MaxFrame)
	}
	b := make([]byte, 0, frameHead+len(body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+1))
	b = append(append(b, byte(k)), body...)
	if err := c.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// readFrame reads one frame. The first byte may take idle, the rest then within.
func readFrame(c net.Conn, idle, within time.Duration) (kind, []byte, error) {
	var head [frameHead]byte
	if err := c.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c, head[:1]); err != nil {
		return 0, nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c, head[1:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || n > MaxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes: want 1 to %d", n, MaxFrame)
	}
	body, err := readBody(c, int(n)-1)
	return kind(head[4]), body, err
}

// bodyStep is how much memory a sender gets on its word alone.
const bodyStep = 256 << 10

// readBody reads n bytes, taking memory as they arrive and not as they are announced.
func readBody(r io.Reader, n int) ([]byte, error) {
	body := make([]byte, 0, min(n, bodyStep))
	for len(body) < n {
		at := len(body)
		body = append(body, make([]byte, min(n-at, bodyStep))...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// steadyReader is a snapshot being received: each read must bring something in time, the whole may take
// as long as it needs.
type steadyReader struct {
	c      net.Conn
	left   int64
	within time.Duration
}

func (s *steadyReader) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	if err := s.c.SetReadDeadline(time.Now().Add(s.within)); err != nil {
		return 0, err
	}
	n, err := s.c.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// steadyWriter is the other end of it.
type steadyWriter struct {
	c      net.Conn
	within time.Duration
}

func (s steadyWriter) Write(b []byte) (int, error) {
	if err := s.c.SetWriteDeadline(time.Now().Add(s.within)); err != nil {
		return 0, err
	}
	return s.c.Write(b)
}
