package s3

import (
	"log/slog"
	"time"
)

// Event is what the front door reports.
type Event interface {
	Name() string
	slog.LogValuer
}

// Served is reported once for every request, served or refused.
type Served struct {
	RequestID string
	// Operation is named as AWS names it, "" when the request was refused before it was known.
	Operation   string
	AccessKey   string // as verified, else ""
	Bucket, Key string
	Remote      string
	Status      int
	// Code is the S3 error code, Err the whole error for the operator; empty on success.
	Code string
	Err  string
	// In and Out are bytes of bodies.
	In, Out   int64
	Took      time.Duration
	Forwarded bool
}

// Name implements Event.
func (Served) Name() string { return "s3.served" }

// LogValue implements slog.LogValuer.
func (e Served) LogValue() slog.Value {
	a := []slog.Attr{
		slog.String("id", e.RequestID), slog.String("op", e.Operation), slog.Int("status", e.Status),
		slog.String("bucket", e.Bucket), slog.String("key", e.Key), slog.String("access_key", e.AccessKey),
		slog.String("remote", e.Remote), slog.Int64("in", e.In), slog.Int64("out", e.Out), slog.Duration("took", e.Took),
	}
	if e.Code != "" {
		a = append(a, slog.String("code", e.Code), slog.String("err", e.Err))
	}
	if e.Forwarded {
		a = append(a, slog.Bool("forwarded", true))
	}
	return slog.GroupValue(a...)
}
