package store

import "fmt"

// Stats gives what the store holds, as of the last committed group. The numbers of chunks are exact after
// a collection.
func (s *Store) Stats() Stats {
	var st Stats
	_ = s.read(func(v *view) error { // fails only when closed: zeros
		st = Stats{
			Objects: v.objects, Bytes: v.bytes, Versions: v.versions, VersionBytes: v.versionBytes,
			Chunks: s.written.chunks.Load(), ChunkBytes: s.written.bytes.Load(),
			DiskBytes: s.db.Metrics().DiskSpaceUsage(), LogFirst: v.first, LogNext: v.next, Full: s.space.full.Load(),
		}
		return nil
	})
	if st.ChunkBytes > 0 {
		st.DedupRatio = float64(st.VersionBytes) / float64(st.ChunkBytes)
	}
	return st
}

// BucketStats gives Objects, Bytes, Versions and VersionBytes of one bucket; the rest stays zero. It costs one
// look-up.
func (s *Store) BucketStats(bucket string) (Stats, error) {
	var c counts
	err := s.read(func(v *view) (err error) {
		c, err = readCounts(v.snap, bucket)
		return err
	})
	if err != nil {
		return Stats{}, fmt.Errorf("statistics of %s: %w", bucket, err)
	}
	return Stats{Objects: c.objects, Bytes: c.bytes, Versions: c.versions, VersionBytes: c.versionBytes}, nil
}
