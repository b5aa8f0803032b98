package health

import (
	"fmt"
	"log/slog"
	"time"
)

// Event is a change of a verdict.
type Event struct {
	At       time.Time
	Kind     Kind
	From, To State // for StateChanged
	Why      string
	MTU      int   // for MTUChanged
	Lane     uint8 // for LaneLeft and LaneBack
}

// Kind says what an Event is about.
type Kind uint8

// The kinds.
const (
	StateChanged Kind = iota
	MTUChanged
	LaneLeft // its flows take other lanes from now on
	LaneBack
)

// Name identifies the event for logs and metrics.
func (e Event) Name() string {
	switch e.Kind {
	case MTUChanged:
		return "link-mtu"
	case LaneLeft:
		return "lane-left"
	case LaneBack:
		return "lane-back"
	}
	return "link-" + e.To.String()
}

// LogValue gives the event's fields.
func (e Event) LogValue() slog.Value {
	why := slog.String("why", e.Why)
	switch e.Kind {
	case MTUChanged:
		return slog.GroupValue(slog.Int("mtu", e.MTU), why)
	case LaneLeft, LaneBack:
		return slog.GroupValue(slog.Int("lane", int(e.Lane)), why)
	}
	return slog.GroupValue(slog.String("from", e.From.String()), slog.String("to", e.To.String()), why)
}

func (e Event) String() string {
	switch e.Kind {
	case MTUChanged:
		return fmt.Sprintf("mtu %d: %s", e.MTU, e.Why)
	case LaneLeft:
		return fmt.Sprintf("lane %d left: %s", e.Lane, e.Why)
	case LaneBack:
		return fmt.Sprintf("lane %d back: %s", e.Lane, e.Why)
	}
	return fmt.Sprintf("%s -> %s: %s", e.From, e.To, e.Why)
}
