package node

import (
	"context"
	"io"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/store"
)

func (b backend) CreateUpload(ctx context.Context, u s3.Upload) (s3.Upload, error) {
	up, err := b.m.store.CreateUpload(ctx, store.Upload{Version: u.Object, Algorithm: u.Algorithm, Type: u.Type})
	if err != nil {
		return u, s3Error(err, s3.ErrNoSuchUpload)
	}
	return s3Upload(up), nil
}

func s3Upload(up store.Upload) s3.Upload {
	return s3.Upload{ID: up.ID, Object: up.Version, Initiated: up.Created, Algorithm: up.Algorithm, Type: up.Type}
}

func (b backend) GetUpload(_ context.Context, bucket, key, id string) (s3.Upload, error) {
	up, err := b.m.store.GetUpload(bucket, key, id)
	if err != nil {
		return s3.Upload{}, s3Error(err, s3.ErrNoSuchUpload)
	}
	return s3Upload(up), nil
}

func (b backend) PutPart(ctx context.Context, in s3.PartInput) (s3.Part, error) {
	w := b.m.store.NewWriter(ctx)
	defer w.Close()
	if _, err := io.Copy(w, in.Body); err != nil {
		return s3.Part{}, s3Error(err, s3.ErrNoSuchUpload)
	}
	blob, err := w.Finish()
	if err != nil {
		return s3.Part{}, s3Error(err, s3.ErrNoSuchUpload)
	}
	p, err := b.m.store.PutPart(ctx, in.Bucket, in.Key, in.UploadID, in.Number, blob, in.Body.Checksums())
	return s3Part(p), s3Error(err, s3.ErrNoSuchUpload)
}

func s3Part(p store.Part) s3.Part {
	return s3.Part{Number: p.Number, Size: p.Size, ETag: p.ETag, Checksums: p.Checksums, Modified: p.Modified}
}

func (b backend) ListParts(_ context.Context, bucket, key, id string, after, limit int) ([]s3.Part, bool, error) {
	parts, more, err := b.m.store.ListParts(bucket, key, id, after, limit)
	if err != nil {
		return nil, false, s3Error(err, s3.ErrNoSuchUpload)
	}
	out := make([]s3.Part, len(parts))
	for i, p := range parts {
		out[i] = s3Part(p)
	}
	return out, more, nil
}

func (b backend) CompleteUpload(ctx context.Context, in s3.CompleteInput) (object.Version, error) {
	parts := make([]store.CompletePart, len(in.Parts))
	for i, p := range in.Parts {
		parts[i] = store.CompletePart{Number: p.Number, ETag: p.ETag}
	}
	done := store.Complete{Parts: parts, ETag: in.ETag, Checksums: in.Checksums, PartChecksums: in.PartChecksums}
	v, seq, err := b.m.store.CompleteUpload(ctx, in.Bucket, in.Key, in.UploadID, done, b.options(in.Conditions))
	if err != nil {
		return object.Version{}, s3Error(err, s3.ErrNoSuchKey) // what If-Match asks for
	}
	return v, b.acknowledged(ctx, v, seq)
}

func (b backend) AbortUpload(ctx context.Context, bucket, key, id string) error {
	return s3Error(b.m.store.AbortUpload(ctx, bucket, key, id), s3.ErrNoSuchUpload)
}

func (b backend) ListUploads(ctx context.Context, bucket, prefix, afterKey, afterID string, limit int) ([]s3.Upload, bool, error) {
	if _, err := b.GetBucket(ctx, bucket); err != nil {
		return nil, false, err
	}
	ups, more, err := b.m.store.ListUploads(bucket, prefix, afterKey, afterID, limit)
	if err != nil {
		return nil, false, s3Error(err, s3.ErrNoSuchBucket)
	}
	out := make([]s3.Upload, len(ups))
	for i, u := range ups {
		out[i] = s3Upload(u)
	}
	return out, more, nil
}
