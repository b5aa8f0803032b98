package store

import "errors"

// What a caller may have to choose on. Everything else is an error that only a person can act on.
var (
	// ErrNotFound: no such version, key, upload or chunk; or the latest version is a delete marker.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: IfMatch or IfNoneMatch does not hold; nothing was written.
	ErrPrecondition = errors.New("precondition failed")
	// ErrProtected: the version is under retention or a legal hold; nothing was removed.
	ErrProtected = errors.New("version is protected by object lock")
	// ErrNoSpace: the disk is below its free-space floor. Writes are refused, reads and deletes go on.
	ErrNoSpace = errors.New("no space on the store's disk")
	// ErrMissingChunk: a version names a chunk that is not here. Fetch it under a Lease and try again.
	ErrMissingChunk = errors.New("chunk is not in the store")
	// ErrCorrupt: bytes read from the disk are not those that were written. The event says which.
	ErrCorrupt = errors.New("corrupt data")
	// ErrTrimmed: the log no longer reaches back to the sequence asked for; the follower must resync.
	ErrTrimmed = errors.New("log was trimmed past this sequence")
	// ErrFailed: the disk refused a write, so that nothing more can be promised until a restart. A write
	// that ends with it, or with its context's error, has an unknown outcome.
	ErrFailed = errors.New("store has failed")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("store is closed")
	// ErrNoSuchUpload: the multipart upload was completed, aborted or never begun.
	ErrNoSuchUpload = errors.New("no such multipart upload")
	// ErrInvalidPart: CompleteUpload names a part that is not there or has another ETag.
	ErrInvalidPart = errors.New("invalid part")
	// ErrPartOrder: CompleteUpload's part numbers do not ascend.
	ErrPartOrder = errors.New("parts are not in ascending order")
	// ErrPartTooSmall: a part other than the last is below the least part size.
	ErrPartTooSmall = errors.New("part is too small")
	// ErrTooLarge: more than a store keeps in one object, part or record; the text names the limit.
	ErrTooLarge = errors.New("too large")
)
