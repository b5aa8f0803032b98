package s3

import "errors"

// What a Backend says when a client must be able to tell. Each becomes one S3 error code.
var (
	ErrNoSuchBucket   = errors.New("no such bucket")
	ErrBucketExists   = errors.New("bucket exists already")
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	ErrNoSuchKey      = errors.New("no such key")
	ErrNoSuchVersion  = errors.New("no such version")
	ErrNoSuchUpload   = errors.New("no such multipart upload")
	ErrInvalidPart    = errors.New("part is missing or was replaced")
	ErrPrecondition   = errors.New("condition does not hold")
	// ErrConflict: another write of the same key came between; the client should try again.
	ErrConflict = errors.New("conflicting write")
	// ErrProtected: retention or a legal hold keeps the version.
	ErrProtected = errors.New("version is protected by object lock")
	// ErrBucketState: what is asked for contradicts how the bucket is kept, such as object lock without versions.
	ErrBucketState = errors.New("the bucket's state does not allow this")
	// ErrNoSpace: the disk's reserve is reached; reads go on, writes do not.
	ErrNoSpace = errors.New("no space left for writes")
	// ErrAckPending: written and synced here, but the routers or regions that the bucket's
	// acknowledgement class names have not confirmed in time.
	ErrAckPending = errors.New("written here, not yet acknowledged by the bucket's class")
	// ErrUnavailable: not now (no owner for the bucket, no quorum, shutting down); try again.
	ErrUnavailable = errors.New("not available for the moment")
	// ErrClock: this router's clock is too far from the others to date a write.
	ErrClock = errors.New("the router's clock is wrong")
	// ErrNotSupported: this Backend does not do that.
	ErrNotSupported = errors.New("not supported")
	// ErrNoSuchAccessKey is SigningKeys' answer for a key that does not exist or was revoked.
	ErrNoSuchAccessKey = errors.New("no such access key")
)
