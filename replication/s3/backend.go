package s3

import (
	"context"
	"io"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Backend is what the front door serves: buckets from the catalog, objects from the store. Its methods
// are called from many goroutines. They return the sentinel errors of this package, wrapped or not, for
// what an S3 client must be able to tell apart; any other error reaches the client as InternalError and
// the operator as an event.
//
// The front door has checked names, signatures and rights before it calls; the Backend alone decides
// conditions on what is stored (Conditions), since only it can do so atomically.
type Backend interface {
	Buckets
	Objects
	Uploads
}

// Buckets is the part of a Backend that the catalog answers.
type Buckets interface {
	// ListBuckets gives all buckets, by name.
	ListBuckets(ctx context.Context) ([]object.Bucket, error)
	// GetBucket gives one bucket, or ErrNoSuchBucket.
	GetBucket(ctx context.Context, name string) (object.Bucket, error)
	// CreateBucket makes a bucket of this name and acknowledgement class, or says ErrBucketExists.
	CreateBucket(ctx context.Context, b object.Bucket) error
	// DeleteBucket removes an empty bucket, or says ErrBucketNotEmpty.
	DeleteBucket(ctx context.Context, name string) error
	// UpdateBucket changes a bucket's settings, or says ErrBucketState when how it is kept does not allow that.
	UpdateBucket(ctx context.Context, bucket string, c BucketChange) error
}

// BucketChange is what may change of a bucket.
type BucketChange struct {
	// Versioning switches the keeping of versions; false suspends it and leaves those that there are.
	Versioning *bool
	// Lock turns object lock on, and versioning with it.
	Lock bool
	// Settings replaces documents by name; the empty one removes it.
	Settings map[object.Setting]string
}

// Objects is the part of a Backend that the store answers.
type Objects interface {
	// PutObject stores body as a new version of in.Object's key. The version must not be visible
	// before body has returned io.EOF: that is the word that hash, signatures and checksums hold.
	// On any other error from body nothing is kept and that error is returned, wrapped.
	// It returns when the bucket's acknowledgement class is met (or ErrAckPending), with ID, Region,
	// Modified, Size, ETag and Sum filled in.
	PutObject(ctx context.Context, in PutInput) (object.Version, error)
	// CopyObject makes dst a new version with the bytes of src (its chunks, no data moves). dst has the
	// key, the headers, the metadata and the checksums of the copy; src is as GetVersion gave it.
	CopyObject(ctx context.Context, src, dst object.Version, cond Conditions) (object.Version, error)
	// GetVersion gives one version of a key, the latest when id is zero. A delete marker is returned as
	// any other version, not as an error. object.NullVersion is the key's null version. ErrNoSuchKey,
	// ErrNoSuchVersion; the bucket was looked up before.
	GetVersion(ctx context.Context, bucket, key string, id object.VersionID) (object.Version, error)
	// OpenObject gives the bytes of a version that GetVersion gave. When the reader is also an
	// io.ReadSeeker, long reads use that, since it can read ahead.
	OpenObject(ctx context.Context, v object.Version) (ObjectReader, error)
	// DeleteObject removes one version when id is set, and otherwise the key: with versioning by a
	// delete marker. A key or version that is not there is no error. With conditions the key must exist and match.
	// ErrProtected when retention or a hold keeps the version.
	DeleteObject(ctx context.Context, bucket, key string, id object.VersionID, o DeleteOptions) (Deleted, error)
	// AmendVersion changes what may change of a version, atomically: change sees it as it is and sets its Attributes.
	// What change says is the error, unchanged.
	AmendVersion(ctx context.Context, bucket, key string, id object.VersionID, change func(v *object.Version) error) (object.Version, error)
	// ListObjects gives one page in the byte order of keys.
	ListObjects(ctx context.Context, bucket string, o ListOptions) (ListPage, error)
	// ReplicationStatus is what x-amz-replication-status says: "" when no policy matches, PENDING,
	// COMPLETED or FAILED where the version was written, REPLICA elsewhere.
	ReplicationStatus(ctx context.Context, v object.Version) string
}

// Uploads is the part of a Backend that keeps unfinished multipart uploads.
type Uploads interface {
	// CreateUpload starts an upload; u.ID and u.Initiated are set by the Backend.
	CreateUpload(ctx context.Context, u Upload) (Upload, error)
	// GetUpload gives an upload, or ErrNoSuchUpload.
	GetUpload(ctx context.Context, bucket, key, id string) (Upload, error)
	// PutPart stores a part, replacing one of the same number, under the rule for body that PutObject
	// states. The part returned has Size, ETag and Modified.
	PutPart(ctx context.Context, in PartInput) (Part, error)
	// ListParts gives up to limit parts with numbers above after, in order, and whether there are more.
	ListParts(ctx context.Context, bucket, key, id string, after, limit int) (parts []Part, more bool, err error)
	// CompleteUpload makes the object visible from in.Parts, in that order. A part whose ETag is no
	// longer the stored one is ErrInvalidPart. The version gets in.ETag, in.Checksums and PartSizes.
	CompleteUpload(ctx context.Context, in CompleteInput) (object.Version, error)
	// AbortUpload forgets an upload and its parts.
	AbortUpload(ctx context.Context, bucket, key, id string) error
	// ListUploads gives up to limit uploads in the order of (key, initiated, id) that come after
	// (afterKey, afterID), and whether there are more. With an empty afterID all uploads of afterKey
	// are passed over.
	ListUploads(ctx context.Context, bucket, prefix, afterKey, afterID string, limit int) (uploads []Upload, more bool, err error)
}

// SigningKeys gives derived signing keys, never secrets: HMAC chains of a secret, a day and a region
// (sigv4.Key). Voters hold the secrets and answer; an edge holds keys that are worth one day in one region.
type SigningKeys interface {
	// SigningKey gives the key of accessKey for a day (yyyymmdd) and region and service s3, or
	// ErrNoSuchAccessKey.
	SigningKey(ctx context.Context, accessKey, date, region string) ([]byte, error)
}

// Body is an object's bytes as they arrive, decoded and checked. Read returns io.EOF only when
// everything that the client promised has been verified: length, SHA-256 or chunk signatures,
// Content-MD5, checksums in headers and in the trailer.
type Body interface {
	io.Reader
	// Checksums gives the S3 checksums of what was read, by algorithm in upper case, base64. Valid
	// after Read returned io.EOF.
	Checksums() map[string]string
}

// ObjectReader reads an object's bytes.
type ObjectReader interface {
	io.ReaderAt
	io.Closer
}

// Conditions are what must hold of the key's latest version for a write to happen, else
// ErrPrecondition. ETags are without quotes.
type Conditions struct {
	// IfMatch is an ETag that the latest version must have, or "*" for any. When the key does not
	// exist the answer is ErrNoSuchKey.
	IfMatch string
	// IfMatchSize and IfMatchModified, where set, are the size in bytes and the second that it must have.
	IfMatchSize     *int64
	IfMatchModified time.Time
	// IfNoneMatch is an ETag that the latest version must not have, or "*": the key must not exist.
	IfNoneMatch string
}

// PutInput is a new object on its way in.
type PutInput struct {
	// Object has Bucket, Key, ContentType, Headers and Meta set. Its Checksums are Body's.
	Object object.Version
	Body   Body
	// Size is the number of bytes that Body will give, -1 when that is not known: browsers' forms do not say.
	Size int64
	Conditions
}

// Conditional says whether a delete asks for something that must be there.
func (c Conditions) Conditional() bool {
	return c.IfMatch != "" || c.IfMatchSize != nil || !c.IfMatchModified.IsZero()
}

// DeleteOptions qualify a delete.
type DeleteOptions struct {
	Conditions
	// BypassGovernance removes what is under governance retention.
	BypassGovernance bool
}

// Deleted says what a delete did.
type Deleted struct {
	// ID is the version removed or the marker made; zero when the bucket keeps no versions.
	ID object.VersionID
	// DeleteMarker says that ID is a delete marker, made or removed.
	DeleteMarker bool
	// Null says that it is the null version.
	Null bool
}

// ListOptions bound one page of a listing.
type ListOptions struct {
	Prefix string
	// Delimiter, when set, rolls all keys that have it after Prefix into one common prefix each.
	Delimiter string
	// After is exclusive: every key of the page is greater than it, in bytes. It need not be a key, nor
	// valid UTF-8: to pass over a common prefix p the front door asks for After p+"\xff".
	After string
	// AfterVersion, with Versions, continues inside the key After, with versions older than this one.
	AfterVersion object.VersionID
	// Limit is the greatest number of versions and prefixes together, at least 1.
	Limit int
	// Versions asks for all versions, newest first within a key, with delete markers; otherwise the
	// page has the latest version of each key that is not deleted.
	Versions bool
}

// ListPage is one page of a listing. Both lists are in order; the next page starts after whichever
// ends later.
type ListPage struct {
	Versions []object.Version
	Prefixes []string
	// More says that the listing goes on.
	More bool
}

// Upload is a multipart upload that is not finished.
type Upload struct {
	ID string
	// Object has Bucket, Key, ContentType, Headers and Meta of the object to be.
	Object    object.Version
	Initiated time.Time
	// Algorithm and Type are the checksum that the upload was opened with: CRC32, ... and COMPOSITE
	// or FULL_OBJECT; both empty when none was asked for.
	Algorithm string
	Type      string
}

// PartInput is a part on its way in.
type PartInput struct {
	Bucket, Key, UploadID string
	// Number is 1 to 10000.
	Number int
	Body   Body
	// Size is the number of bytes that Body will give.
	Size int64
}

// Part is a stored part of an upload. ETag is the MD5 of its bytes in hex.
type Part struct {
	Number    int
	Size      int64
	ETag      string
	Checksums map[string]string
	Modified  time.Time
}

// CompleteInput finishes an upload.
type CompleteInput struct {
	Bucket, Key, UploadID string
	// Parts are the stored parts that make the object, ascending.
	Parts []Part
	// ETag is the object's ETag: MD5 of the parts' MD5s and their count.
	ETag string
	// Checksums of the whole object: composite ones end in -N.
	Checksums map[string]string
	// PartChecksums are those of the parts, under the algorithm of Checksums.
	PartChecksums []string
	Conditions
}
