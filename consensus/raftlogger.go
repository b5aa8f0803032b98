package consensus

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// raftLogger turns Raft's log lines into events. Debug and trace lines are dropped.
type raftLogger struct {
	hclog.Logger // answers everything that is not below
	emit         func(Event)
	with         []any
}

func newRaftLogger(emit func(Event)) hclog.Logger {
	return raftLogger{Logger: hclog.NewNullLogger(), emit: emit}
}

func (l raftLogger) say(level slog.Level, msg string, args []any) {
	var b strings.Builder
	b.WriteString(msg)
	args = append(l.with[:len(l.with):len(l.with)], args...)
	for i := 0; i+1 < len(args); i += 2 {
		v := args[i+1]
		if f, ok := v.(hclog.Format); ok && len(f) > 0 {
			v = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		fmt.Fprintf(&b, " %v=%v", args[i], v)
	}
	l.emit(RaftSaid{level, b.String()})
}

func (l raftLogger) Info(msg string, args ...any)  { l.say(slog.LevelInfo, msg, args) }
func (l raftLogger) Warn(msg string, args ...any)  { l.say(slog.LevelWarn, msg, args) }
func (l raftLogger) Error(msg string, args ...any) { l.say(slog.LevelError, msg, args) }

func (l raftLogger) Log(level hclog.Level, msg string, args ...any) {
	switch level {
	case hclog.Info:
		l.Info(msg, args...)
	case hclog.Warn:
		l.Warn(msg, args...)
	case hclog.Error:
		l.Error(msg, args...)
	}
}

func (l raftLogger) With(args ...any) hclog.Logger {
	l.with = append(l.with[:len(l.with):len(l.with)], args...)
	return l
}

func (l raftLogger) Named(string) hclog.Logger      { return l }
func (l raftLogger) ResetNamed(string) hclog.Logger { return l }
