package lab

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// control finds what the kernel says of a packet: when it received it (now, when it does not say), and how many the
// socket's buffer had no room for so far.
func control(oob []byte) (at time.Time, overrun uint32) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now(), 0
	}
	for _, m := range messages {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			at = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		case m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4:
			overrun = binary.NativeEndian.Uint32(m.Data)
		}
	}
	if at.IsZero() {
		at = time.Now()
	}
	return at, overrun
}
