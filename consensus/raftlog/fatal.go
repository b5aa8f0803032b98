package raftlog

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// fatalLogger is Pebble's logger. Pebble ends the process through Fatalf when a commit or its manifest
// fails, and must never see it return.
type fatalLogger struct {
	end    func(error)
	once   sync.Once
	failed *atomic.Bool
	// broken says that Pebble itself gave up: it must not even be closed.
	broken atomic.Bool
	// caller is set while every Pebble call comes from the goroutine that opened the store.
	caller atomic.Bool
}

// commitFailed unwinds the goroutine that wrote, up to recovered.
type commitFailed struct{ err error }

// fatalCommit begins the message with which DB.Apply gives up, on the writer's own goroutine.
const fatalCommit = "pebble: fatal commit error"

func (*fatalLogger) Infof(string, ...any)  {}
func (*fatalLogger) Errorf(string, ...any) {}

// Fatalf does not return: it unwinds the writer, or parks a goroutine of Pebble's own for the short
// time that the process still has.
func (l *fatalLogger) Fatalf(format string, a ...any) {
	err := fmt.Errorf(format, a...)
	l.broken.Store(true)
	l.fail(fmt.Errorf("raft log: %w", err))
	if l.caller.Load() || strings.HasPrefix(format, fatalCommit) {
		panic(commitFailed{err})
	}
	select {}
}

// fail reports the first failure.
func (l *fatalLogger) fail(err error) {
	l.failed.Store(true)
	l.once.Do(func() {
		if l.end == nil {
			panic(err)
		}
		l.end(err)
	})
}

// recovered turns the unwinding of Fatalf into an error. It is deferred.
func (l *fatalLogger) recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case commitFailed:
		*err = fmt.Errorf("raft log: %w", p.err)
	default:
		if !l.caller.Load() {
			panic(p)
		}
		// While it opens, Pebble panics where it cannot make its directory durable.
		*err = fmt.Errorf("raft log: opening: %v", p)
	}
}
