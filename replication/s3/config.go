package s3

import (
	"context"
	"net/http"
	"time"
)

// Config is what the front door is given. Backend, Keys and Region are needed.
type Config struct {
	Backend Backend
	Keys    SigningKeys
	// Region is the name that clients must sign for, such as cn-hangzhou.
	Region string
	// AlsoRegions are further names that clients may sign for, such as us-east-1, which many clients
	// take when they are not told.
	AlsoRegions []string
	// Domains are the host names under which the first label is a bucket (bucket.s3.example.com).
	Domains []string
	// Authorize says whether a verified access key may do this; nil lets every key do everything. Any
	// error refuses; its text goes to the operator, not to the client. Called from many goroutines.
	Authorize func(ctx context.Context, a Access) error
	// Owner gives the way to the router that owns a bucket, or nil when that is this one. Nil: always
	// this one. An error is answered with ServiceUnavailable.
	Owner func(ctx context.Context, bucket string) (http.RoundTripper, error)
	// Now is the clock that signatures are judged by (default time.Now).
	Now func() time.Time
	// Emit receives events; nil drops them.
	Emit   func(Event)
	Limits Limits
}

// Access is one question of rights: may this key do this to that.
type Access struct {
	AccessKey string
	// Action is named as AWS names it: s3:GetObject, s3:ListBucket, ...
	Action string
	Bucket string
	Key    string
}

// Limits bound what clients may use up. Zero fields take the defaults.
type Limits struct {
	// Requests is how many are served at a time (default 256); further ones get SlowDown.
	Requests int
	// BodyRate is the least average rate of a body in bytes per second (default 1024), judged after
	// BodyGrace (default 10 s). Time in which the server does not read does not count.
	BodyRate  int64
	BodyGrace time.Duration
	// Idle is how long either side of a transfer may stand still (default 30 s).
	Idle time.Duration
	// MaxPut is the size of the largest single PUT or part in bytes (default 5 GiB).
	MaxPut int64
	// MinPart is the least size of every part but the last in bytes (default 5 MiB).
	MinPart int64
}

const (
	maxParts     = 10_000
	maxKeys      = 1000
	maxKeyBytes  = 1024
	maxMetaBytes = 2 << 10
	// maxForm bounds small XML bodies, maxManifest the lists of DeleteObjects and CompleteMultipartUpload.
	maxForm     = 64 << 10
	maxManifest = 4 << 20
	copyBuffer  = 256 << 10
)

func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Requests == 0 {
		l.Requests = 256
	}
	if l.BodyGrace == 0 {
		l.BodyGrace = 10 * time.Second
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	def(&l.BodyRate, 1<<10)
	def(&l.MaxPut, 5<<30)
	def(&l.MinPart, 5<<20)
	return l
}
