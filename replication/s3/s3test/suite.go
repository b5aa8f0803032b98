package s3test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

// TestBackend holds a Backend to what s3.Backend promises. open gives an empty one.
func TestBackend(t *testing.T, open func(t *testing.T) s3.Backend) {
	for name, f := range map[string]func(*testing.T, s3.Backend){
		"buckets": testBuckets, "put and get": testPutGet, "bodies that fail": testBadBody, "conditions": testConditions,
		"versions": testVersions, "delete": testDelete, "copy": testCopy, "list": testList, "uploads": testUploads,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			for _, n := range []string{"plain", "versioned"} {
				if err := b.CreateBucket(t.Context(), object.Bucket{Name: n, Created: time.Now()}); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.UpdateBucket(t.Context(), "versioned", s3.BucketChange{Versioning: new(true)}); err != nil && !errors.Is(err, s3.ErrNotSupported) {
				t.Fatal(err)
			}
			f(t, b)
		})
	}
}

// Bytes is a Body without promises but one checksum. Err, when set, ends it instead of io.EOF.
type Bytes struct {
	Data []byte
	Err  error
	read int
}

// Read implements s3.Body.
func (b *Bytes) Read(p []byte) (int, error) {
	n := copy(p, b.Data[b.read:])
	b.read += n
	if b.read < len(b.Data) {
		return n, nil
	}
	if b.Err != nil {
		return n, b.Err
	}
	return n, io.EOF
}

// Checksums implements s3.Body.
func (b *Bytes) Checksums() map[string]string { return map[string]string{"CRC32": "AAAAAA=="} }

func putBytes(ctx context.Context, b s3.Backend, bucket, key, data string, c s3.Conditions) (object.Version, error) {
	return b.PutObject(ctx, s3.PutInput{
		Object: object.Version{Bucket: bucket, Key: key, ContentType: "text/x", Meta: map[string]string{"m": "v"}, Headers: map[string]string{"Cache-Control": "no-store"}},
		Body:   &Bytes{Data: []byte(data)}, Size: int64(len(data)), Conditions: c,
	})
}

func mustPut(t *testing.T, b s3.Backend, bucket, key, data string) object.Version {
	t.Helper()
	v, err := putBytes(t.Context(), b, bucket, key, data, s3.Conditions{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustRead(t *testing.T, b s3.Backend, v object.Version) string {
	t.Helper()
	r, err := b.OpenObject(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data := make([]byte, v.Size)
	if n, err := r.ReadAt(data, 0); int64(n) != v.Size || err != nil && err != io.EOF {
		t.Fatalf("read %d of %d bytes: %v", n, v.Size, err)
	}
	return string(data)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func testBuckets(t *testing.T, b s3.Backend) {
	ctx := t.Context()
	wantErr(t, b.CreateBucket(ctx, object.Bucket{Name: "plain"}), s3.ErrBucketExists)
	all, err := b.ListBuckets(ctx)
	if err != nil || !slices.ContainsFunc(all, func(x object.Bucket) bool { return x.Name == "plain" }) {
		t.Fatalf("%v, %v", all, err)
	}
	_, err = b.GetBucket(ctx, "absent")
	wantErr(t, err, s3.ErrNoSuchBucket)
	wantErr(t, b.DeleteBucket(ctx, "absent"), s3.ErrNoSuchBucket)
	mustPut(t, b, "plain", "k", "x")
	wantErr(t, b.DeleteBucket(ctx, "plain"), s3.ErrBucketNotEmpty)
	if _, err := b.DeleteObject(ctx, "plain", "k", object.VersionID{}, s3.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteBucket(ctx, "plain"); err != nil {
		t.Fatal(err)
	}
	_, err = putBytes(ctx, b, "plain", "k", "x", s3.Conditions{})
	wantErr(t, err, s3.ErrNoSuchBucket)
}

func testPutGet(t *testing.T, b s3.Backend) {
	data := string(bytes.Repeat([]byte("galleon "), 40_000))
	for _, d := range []string{"", "x", data} {
		v := mustPut(t, b, "plain", "dir/../k", d)
		sum := md5.Sum([]byte(d))
		if v.ETag != hex.EncodeToString(sum[:]) || v.Size != int64(len(d)) || v.ID == (object.VersionID{}) || v.Modified.IsZero() {
			t.Fatalf("put %d bytes: %+v", len(d), v)
		}
		got, err := b.GetVersion(t.Context(), "plain", "dir/../k", object.VersionID{})
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != v.ID || got.ETag != v.ETag || got.ContentType != "text/x" || got.Meta["m"] != "v" ||
			got.Headers["Cache-Control"] != "no-store" || got.Checksums["CRC32"] != "AAAAAA==" {
			t.Fatalf("got %+v", got)
		}
		if r := mustRead(t, b, got); r != d {
			t.Fatalf("read %d other bytes", len(r))
		}
	}
	v, err := b.GetVersion(t.Context(), "plain", "dir/../k", object.VersionID{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.OpenObject(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, off := range []int64{0, 1, 70_000, v.Size - 1} {
		p := make([]byte, min(100, v.Size-off))
		if _, err := r.ReadAt(p, off); err != nil && err != io.EOF || string(p) != data[off:off+int64(len(p))] {
			t.Fatalf("at %d: %q, %v", off, p, err)
		}
	}
	_, err = b.GetVersion(t.Context(), "plain", "absent", object.VersionID{})
	wantErr(t, err, s3.ErrNoSuchKey)
	if _, err = b.GetVersion(t.Context(), "absent", "k", object.VersionID{}); !errors.Is(err, s3.ErrNoSuchBucket) && !errors.Is(err, s3.ErrNoSuchKey) {
		t.Fatalf("a bucket that is not there: %v", err)
	}
}

func testBadBody(t *testing.T, b s3.Backend) {
	bad := errors.New("the signature of the last chunk is wrong")
	_, err := b.PutObject(t.Context(), s3.PutInput{Object: object.Version{Bucket: "plain", Key: "k"}, Body: &Bytes{Data: make([]byte, 200_000), Err: bad}, Size: 200_000})
	wantErr(t, err, bad)
	_, err = b.GetVersion(t.Context(), "plain", "k", object.VersionID{})
	wantErr(t, err, s3.ErrNoSuchKey)
	u, err := b.CreateUpload(t.Context(), s3.Upload{Object: object.Version{Bucket: "plain", Key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.PutPart(t.Context(), s3.PartInput{Bucket: "plain", Key: "k", UploadID: u.ID, Number: 1, Body: &Bytes{Data: []byte("x"), Err: bad}, Size: 1})
	wantErr(t, err, bad)
	if parts, _, err := b.ListParts(t.Context(), "plain", "k", u.ID, 0, 10); err != nil || len(parts) != 0 {
		t.Fatalf("%v, %v", parts, err)
	}
}

func testConditions(t *testing.T, b s3.Backend) {
	ctx := t.Context()
	v := mustPut(t, b, "plain", "k", "one")
	for _, c := range []struct {
		key  string
		cond s3.Conditions
		want error
	}{
		{"k", s3.Conditions{IfNoneMatch: "*"}, s3.ErrPrecondition},
		{"k", s3.Conditions{IfNoneMatch: v.ETag}, s3.ErrPrecondition},
		{"k", s3.Conditions{IfMatch: "other"}, s3.ErrPrecondition},
		{"absent", s3.Conditions{IfMatch: v.ETag}, s3.ErrNoSuchKey},
		{"absent", s3.Conditions{IfMatch: "*"}, s3.ErrNoSuchKey},
		{"k", s3.Conditions{IfMatch: v.ETag}, nil},
		{"new", s3.Conditions{IfNoneMatch: "*"}, nil},
		{"k", s3.Conditions{IfMatch: "*"}, nil},
		{"k", s3.Conditions{IfNoneMatch: "other"}, nil},
	} {
		_, err := putBytes(ctx, b, "plain", c.key, "two", c.cond)
		if !errors.Is(err, c.want) {
			t.Errorf("%s with %+v: %v, want %v", c.key, c.cond, err, c.want)
		}
	}
	_, err := b.DeleteObject(ctx, "plain", "k", object.VersionID{}, s3.DeleteOptions{Conditions: s3.Conditions{IfMatch: "other"}})
	wantErr(t, err, s3.ErrPrecondition)
	_, err = b.DeleteObject(ctx, "plain", "never", object.VersionID{}, s3.DeleteOptions{Conditions: s3.Conditions{IfMatch: "other"}})
	wantErr(t, err, s3.ErrNoSuchKey)
}
