package store

import "log/slog"

// Event is something that happened in the store and that an operator or a test may want to see.
type Event interface {
	Name() string
	slog.LogValuer
}
