package node

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/galleon-net/galleon/cmd/config"
)

// NewLogger makes the daemon's structured log.
func NewLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Level))); err != nil {
		level = slog.LevelInfo // config.Check has refused every other word
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// event is what every house's events have in common.
type event interface {
	Name() string
	slog.LogValuer
}

// emit gives a function that writes a house's events to the log. Events that come with every packet or
// every peer are for debugging; those that change what an operator sees are information; refusals and
// failures are warnings.
func emit[E event](log *slog.Logger, house string) func(E) {
	return func(e E) {
		log.LogAttrs(context.Background(), eventLevel(e.Name()), e.Name(), slog.String("house", house), slog.Any("event", e.LogValue()))
	}
}

func eventLevel(name string) slog.Level {
	for _, part := range []string{"refused", "failed", "lost", "corrupt", "drift", "fatal", "full"} {
		if strings.Contains(name, part) {
			return slog.LevelWarn
		}
	}
	if strings.Contains(name, "raft-log") || strings.Contains(name, "debug") {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
