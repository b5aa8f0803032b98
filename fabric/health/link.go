package health

import "time"

// Link is the state of one link. It is used by one goroutine. Make a new one for each new session
// with the peer: the numbers of probes start again.
type Link struct {
	cfg    Config
	status Status
}

// New starts to judge a link of which nothing is known at now.
func New(cfg Config, now time.Time) *Link {
	return &Link{cfg: cfg.withDefaults(), status: Status{Since: now, Why: "no probe heard yet"}}
}

// FullSize says whether our probe number seq is to be padded to Config.FullSize.
func (l *Link) FullSize(seq uint64) bool { return seq%l.cfg.FullEvery == 0 }

// Sent notes that our probe number seq left at now. Numbers count up by one from 1.
func (l *Link) Sent(now time.Time, seq uint64) {}

// Heard judges a probe that arrived at now.
func (l *Link) Heard(now time.Time, s Sample) []Event { return nil }

// Tick judges silence. Call it when Due says, and at least once per interval.
func (l *Link) Tick(now time.Time) []Event { return nil }

// Due says when Tick next has something to decide.
func (l *Link) Due() time.Time { return time.Time{} }

// Status returns what is known now.
func (l *Link) Status() Status { return l.status }
