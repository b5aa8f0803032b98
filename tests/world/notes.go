package world

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// maxNotes bounds the story that a failing test prints, in lines.
const maxNotes = 600

// notes keeps the last lines of everybody's log and of the story.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, a ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lines) >= maxNotes {
		n.lines = n.lines[1:]
	}
	n.lines = append(n.lines, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, a...))
}

// Write takes the lines of a structured log.
func (n *notes) Write(b []byte) (int, error) {
	n.add("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b bytes.Buffer
	for _, l := range n.lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}
