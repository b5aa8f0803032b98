package store

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
