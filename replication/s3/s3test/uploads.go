package s3test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

type upload struct {
	s3.Upload
	parts map[int]s3.Part
	data  map[int][]byte
}

func (m *Memory) upload(bucketName, key, id string) (*upload, error) {
	u := m.uploads[id]
	if u == nil || u.Object.Bucket != bucketName || u.Object.Key != key {
		return nil, s3.ErrNoSuchUpload
	}
	return u, nil
}

// CreateUpload implements s3.Uploads.
func (m *Memory) CreateUpload(_ context.Context, u s3.Upload) (s3.Upload, error) {
	if err := m.fault("CreateUpload"); err != nil {
		return u, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.bucket(u.Object.Bucket); err != nil {
		return u, err
	}
	if m.uploads == nil {
		m.uploads = map[string]*upload{}
	}
	u.ID, u.Initiated = fmt.Sprintf("%016x", uint64(m.mint().Time)), m.now()
	m.uploads[u.ID] = &upload{Upload: u, parts: map[int]s3.Part{}, data: map[int][]byte{}}
	return u, nil
}

// GetUpload implements s3.Uploads.
func (m *Memory) GetUpload(_ context.Context, bucketName, key, id string) (s3.Upload, error) {
	if err := m.fault("GetUpload"); err != nil {
		return s3.Upload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.upload(bucketName, key, id)
	if err != nil {
		return s3.Upload{}, err
	}
	return u.Upload, nil
}

// PutPart implements s3.Uploads.
func (m *Memory) PutPart(_ context.Context, in s3.PartInput) (s3.Part, error) {
	if err := m.fault("PutPart"); err != nil {
		return s3.Part{}, err
	}
	data, err := io.ReadAll(in.Body)
	if err != nil {
		return s3.Part{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.upload(in.Bucket, in.Key, in.UploadID)
	if err != nil {
		return s3.Part{}, err
	}
	sum := md5.Sum(data)
	p := s3.Part{
		Number: in.Number, Size: int64(len(data)), ETag: hex.EncodeToString(sum[:]), Checksums: in.Body.Checksums(), Modified: m.now(),
	}
	u.parts[p.Number], u.data[p.Number] = p, data
	return p, nil
}

// ListParts implements s3.Uploads.
func (m *Memory) ListParts(_ context.Context, bucketName, key, id string, after, limit int) ([]s3.Part, bool, error) {
	if err := m.fault("ListParts"); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.upload(bucketName, key, id)
	if err != nil {
		return nil, false, err
	}
	var parts []s3.Part
	for n, p := range u.parts {
		if n > after {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b s3.Part) int { return a.Number - b.Number })
	if len(parts) > limit {
		return parts[:limit], true, nil
	}
	return parts, false, nil
}

// CompleteUpload implements s3.Uploads.
func (m *Memory) CompleteUpload(_ context.Context, in s3.CompleteInput) (object.Version, error) {
	if err := m.fault("CompleteUpload"); err != nil {
		return object.Version{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.upload(in.Bucket, in.Key, in.UploadID)
	if err != nil {
		return object.Version{}, err
	}
	v := u.Object
	v.ETag, v.Checksums, v.PartChecksums = in.ETag, in.Checksums, in.PartChecksums
	var data []byte
	for _, p := range in.Parts {
		stored, ok := u.parts[p.Number]
		if !ok || stored.ETag != p.ETag {
			return object.Version{}, s3.ErrInvalidPart
		}
		data = append(data, u.data[p.Number]...)
		v.PartSizes = append(v.PartSizes, stored.Size)
	}
	v, err = m.put(v, data, in.Conditions)
	if err == nil {
		delete(m.uploads, in.UploadID)
	}
	return v, err
}

// AbortUpload implements s3.Uploads.
func (m *Memory) AbortUpload(_ context.Context, bucketName, key, id string) error {
	if err := m.fault("AbortUpload"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.upload(bucketName, key, id); err != nil {
		return err
	}
	delete(m.uploads, id)
	return nil
}

// ListUploads implements s3.Uploads.
func (m *Memory) ListUploads(_ context.Context, bucketName, prefix, afterKey, afterID string, limit int) ([]s3.Upload, bool, error) {
	if err := m.fault("ListUploads"); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.bucket(bucketName); err != nil {
		return nil, false, err
	}
	var ups []s3.Upload
	for _, u := range m.uploads {
		k := u.Object.Key
		if u.Object.Bucket != bucketName || !strings.HasPrefix(k, prefix) || k < afterKey ||
			k == afterKey && afterKey != "" && (afterID == "" || u.ID <= afterID) {
			continue
		}
		ups = append(ups, u.Upload)
	}
	// Identifiers are minted in order of time.
	slices.SortFunc(ups, func(a, b s3.Upload) int {
		if c := strings.Compare(a.Object.Key, b.Object.Key); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	if len(ups) > limit {
		return ups[:limit], true, nil
	}
	return ups, false, nil
}
