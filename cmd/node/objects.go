package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/replication"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/store"
)

// backend is the object endpoint's view of this router: buckets are the catalog's, objects the store's.
type backend struct {
	c *Control
	m *member
}

var _ s3.Backend = backend{}

// s3Error gives an error of the store or the catalog the name that the endpoint knows it by.
func s3Error(err error, notFound error) error {
	if err == nil {
		return nil
	}
	var refusal *state.Error
	for _, k := range []struct{ is, as error }{
		{store.ErrNotFound, notFound}, {store.ErrProtected, s3.ErrProtected}, {store.ErrPrecondition, s3.ErrPrecondition}, {store.ErrNoSpace, s3.ErrNoSpace},
		{store.ErrNoSuchUpload, s3.ErrNoSuchUpload}, {store.ErrInvalidPart, s3.ErrInvalidPart}, {object.ErrClock, s3.ErrClock},
		{store.ErrFailed, s3.ErrUnavailable}, {store.ErrClosed, s3.ErrUnavailable}, {replication.ErrAckPending, s3.ErrAckPending},
	} {
		if errors.Is(err, k.is) {
			return fmt.Errorf("%w: %w", k.as, err)
		}
	}
	if errors.As(err, &refusal) {
		return err
	}
	return err
}

func (b backend) ListBuckets(context.Context) ([]object.Bucket, error) {
	s := b.m.consensus.View()
	out := slices.Collect(maps.Values(s.Buckets))
	slices.SortFunc(out, func(a, b object.Bucket) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out, nil
}

func (b backend) GetBucket(_ context.Context, name string) (object.Bucket, error) {
	bucket, ok := b.m.consensus.View().Buckets[name]
	if !ok {
		return bucket, s3.ErrNoSuchBucket
	}
	return bucket, nil
}

// change proposes a command on behalf of an object client.
func (b backend) change(ctx context.Context, cmd state.Command) error {
	if b.c.isRevoked(b.m) {
		return fmt.Errorf("%w: %w", s3.ErrUnavailable, errRevoked)
	}
	cmd.Key, cmd.Author = newKey(), "object endpoint of "+b.m.id.Name
	res, err := b.m.consensus.Propose(ctx, cmd)
	if err != nil {
		return fmt.Errorf("%w: %w", s3.ErrUnavailable, err)
	}
	if res.Err != nil {
		return res.Err
	}
	// What the client does next shall find the change here.
	_, err = b.m.consensus.AtLeast(ctx, res.Index)
	return err
}

func (b backend) CreateBucket(ctx context.Context, bucket object.Bucket) error {
	if _, ok := b.m.consensus.View().Buckets[bucket.Name]; ok {
		return s3.ErrBucketExists
	}
	err := b.change(ctx, state.Command{CreateBucket: &state.CreateBucket{Bucket: bucket}})
	var refusal *state.Error
	if errors.As(err, &refusal) && refusal.Code == state.CodeConflict {
		return fmt.Errorf("%w: %w", s3.ErrBucketExists, err)
	}
	return err
}

func (b backend) DeleteBucket(ctx context.Context, name string) error {
	if _, err := b.GetBucket(ctx, name); err != nil {
		return err
	}
	empty, err := isEmpty(b.m.store, name)
	if err != nil {
		return err
	}
	if !empty {
		return s3.ErrBucketNotEmpty
	}
	return b.change(ctx, state.Command{DeleteBucket: &state.DeleteBucket{Name: name}})
}

func (b backend) UpdateBucket(ctx context.Context, bucket string, c s3.BucketChange) error {
	now, err := b.GetBucket(ctx, bucket)
	if err != nil {
		return err
	}
	off := c.Versioning != nil && !*c.Versioning
	if off && now.Locked {
		return s3.ErrBucketState
	}
	return b.change(ctx, state.Command{UpdateBucket: &state.UpdateBucket{
		Name: bucket, Versioning: c.Versioning, Suspend: off, Lock: c.Lock, Settings: c.Settings,
	}})
}

// options qualify a write with the catalog by which it is judged.
func (b backend) options(c s3.Conditions) store.PutOptions {
	return store.PutOptions{
		IfMatch: c.IfMatch, IfNoneMatch: c.IfNoneMatch, IfMatchSize: c.IfMatchSize, IfMatchModified: c.IfMatchModified,
		CatalogIndex: b.m.consensus.View().Index,
	}
}

// acknowledged returns once the bucket's acknowledgement class is met.
func (b backend) acknowledged(ctx context.Context, v object.Version, seq store.Seq) error {
	bucket, err := b.GetBucket(ctx, v.Bucket)
	if err != nil {
		return err
	}
	return s3Error(b.m.engine.WaitAck(ctx, v, seq, bucket.Ack), s3.ErrNoSuchKey)
}

func (b backend) PutObject(ctx context.Context, in s3.PutInput) (object.Version, error) {
	w := b.m.store.NewWriter(ctx)
	defer w.Close()
	if _, err := io.Copy(w, in.Body); err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey)
	}
	blob, err := w.Finish()
	if err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey)
	}
	v := in.Object
	v.Size, v.Sum, v.Chunks = blob.Size, blob.Sum, blob.Chunks
	v.ETag, v.Checksums = fmt.Sprintf("%x", blob.MD5), in.Body.Checksums()
	v, seq, err := b.m.store.Put(ctx, v, b.options(in.Conditions))
	if err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey)
	}
	return v, b.acknowledged(ctx, v, seq)
}

func (b backend) CopyObject(ctx context.Context, src, dst object.Version, cond s3.Conditions) (object.Version, error) {
	whole, err := b.m.store.Manifest(src.Bucket, src.Key, src.ID)
	if err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey)
	}
	dst.ID, dst.Replaces = object.VersionID{}, object.VersionID{}
	dst.Size, dst.Sum, dst.Chunks, dst.PartSizes = whole.Size, whole.Sum, whole.Chunks, whole.PartSizes
	if dst.ETag == "" {
		dst.ETag = whole.ETag
	}
	v, seq, err := b.m.store.Put(ctx, dst, b.options(cond))
	if err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey)
	}
	return v, b.acknowledged(ctx, v, seq)
}

func (b backend) GetVersion(_ context.Context, bucket, key string, id object.VersionID) (object.Version, error) {
	v, err := b.m.store.Get(bucket, key, id)
	notFound := s3.ErrNoSuchKey
	if !id.IsZero() {
		notFound = s3.ErrNoSuchVersion
	}
	return v, s3Error(err, notFound)
}

func (b backend) OpenObject(_ context.Context, v object.Version) (s3.ObjectReader, error) {
	r, err := b.m.store.Open(v)
	if err != nil {
		return nil, s3Error(err, s3.ErrNoSuchKey)
	}
	return r, nil
}

// AmendVersion changes tags, retention or hold of a version.
func (b backend) AmendVersion(ctx context.Context, bucket, key string, id object.VersionID, change func(*object.Version) error) (object.Version, error) {
	notFound := s3.ErrNoSuchKey
	if !id.IsZero() {
		notFound = s3.ErrNoSuchVersion
	}
	v, seq, err := b.m.store.Amend(ctx, bucket, key, id, change, b.options(s3.Conditions{}))
	if err != nil {
		return object.Version{}, s3Error(err, notFound)
	}
	return v, b.acknowledged(ctx, v, seq)
}

func (b backend) DeleteObject(ctx context.Context, bucket, key string, id object.VersionID, o s3.DeleteOptions) (s3.Deleted, error) {
	cond := b.options(o.Conditions)
	cond.BypassGovernance = o.BypassGovernance
	rec, err := b.GetBucket(ctx, bucket)
	if err != nil {
		return s3.Deleted{}, err
	}
	if !id.IsZero() {
		v, seq, err := b.m.store.Purge(ctx, bucket, key, id, cond)
		if errors.Is(err, store.ErrNotFound) && !o.Conditional() {
			return s3.Deleted{ID: id, Null: id == object.NullVersion}, nil
		}
		if err != nil {
			return s3.Deleted{}, s3Error(err, s3.ErrNoSuchKey)
		}
		return s3.Deleted{ID: v.ID, DeleteMarker: v.DeleteMarker, Null: v.Null}, b.acknowledged(ctx, v, seq)
	}
	latest, err := b.m.store.Get(bucket, key, object.VersionID{})
	if gone := errors.Is(err, store.ErrNotFound) || err == nil && latest.DeleteMarker; gone && (o.Conditional() || !rec.Versioning && !rec.Suspended) {
		if o.Conditional() {
			return s3.Deleted{}, s3.ErrNoSuchKey
		}
		return s3.Deleted{}, nil
	}
	v, seq, err := b.m.store.Delete(ctx, bucket, key, cond)
	if err != nil {
		return s3.Deleted{}, s3Error(err, s3.ErrNoSuchKey)
	}
	d := s3.Deleted{}
	if rec.Versioning || rec.Suspended {
		d = s3.Deleted{ID: v.ID, DeleteMarker: true, Null: v.Null}
	}
	return d, b.acknowledged(ctx, v, seq)
}

func (b backend) ListObjects(ctx context.Context, bucket string, o s3.ListOptions) (s3.ListPage, error) {
	if _, err := b.GetBucket(ctx, bucket); err != nil {
		return s3.ListPage{}, err
	}
	page, err := b.m.store.List(bucket, store.ListOptions{
		Prefix: o.Prefix, After: o.After, AfterVersion: o.AfterVersion, Delimiter: o.Delimiter, Limit: o.Limit, Versions: o.Versions,
	})
	if err != nil {
		return s3.ListPage{}, s3Error(err, s3.ErrNoSuchBucket)
	}
	out := s3.ListPage{Prefixes: page.Prefixes, More: page.Truncated}
	for _, e := range page.Entries {
		out.Versions = append(out.Versions, e.Version)
	}
	return out, nil
}

func (b backend) ReplicationStatus(_ context.Context, v object.Version) string {
	return b.m.engine.ObjectStatus(v).Status
}
