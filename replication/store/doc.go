// Package store keeps objects on one machine: chunks, versions, the change log, cursors and unfinished
// uploads, in one Pebble. It is the only door to Pebble in replication.
//
// # What it promises
//
//  1. A write that returned without error is on the disk, whole, after any crash.
//  2. A version is seen (Get, List, Log) only when it and all its chunks are on the disk, so that nobody
//     reads or replicates what a crash could take back.
//  3. The log has every change to versions, in the order in which they became visible, numbered from 1
//     without a gap, and a change is in the log exactly when it is in the index: they are one batch.
//  4. ApplyReplica commits versions and the cursor that stands for them together: after a crash a
//     follower goes on where the store says, and sending something twice changes nothing.
//  5. The greatest VersionID of a key is its latest version, in whatever order versions arrive, and a version
//     that lost without having been replaced by anybody who saw it is listed as a conflict.
//  6. A chunk goes only when no version, part, lease or open Reader needs it.
//
// # How
//
// Writes meet in one committer (commit.go): it takes all that wait, runs each against what the ones before
// it did, and commits them as one synced batch, so that sixteen writers share a sync. A group is made
// visible by replacing the view, a Pebble snapshot that all readers use, after the sync. Chunks go to
// Pebble ahead of that in unsynced batches: Pebble has one write-ahead log, in commit order, whose older
// files are synced before a newer one is begun, so the sync of the version covers the chunks before it.
// The other way, a synced batch per megabyte of chunks, would cost a large object a sync per megabyte
// and promise nothing more.
//
// Chunks are found by their hash, spread over the whole key space: in plain tables every compaction would
// copy them. Pebble's value separation keeps values of 4 KiB and more in blob files, which compactions
// leave alone until a fifth of one is garbage: each byte is written twice, to the log and to a blob file,
// where tables alone made it five times (pebble.go has the figures).
//
// # Keys
//
// The first byte is the keyspace. Bucket names and keys hold no NUL, which ends them in the index and
// makes its order S3's order (UTF-8, by byte). VersionIDs are stored inverted, newest first: ^time (8
// bytes), ^origin (4 bytes). Integers are big endian, "uv" is an unsigned varint, "str" a uv length and
// bytes, and every value begins with the version of its format, 1.
//
//	key                                         value
//	c chunk id (32)                             1, the chunk's bytes
//	v bucket 0 key 0 version (12)               a version record, see encode.go
//	m bucket 0 key 0 version (12) end (8)       1, chunk references: id (32), size (4); end is the offset in the
//	                                            object behind the last; only where the record holds them not itself
//	l bucket 0 key                              what a listing shows of a visible latest version
//	g sequence (8)                              1, kind (0 written, 1 purged), uv catalog index, str bucket,
//	                                            str key, version (12)
//	k cursor name                               1, the value
//	x bucket 0 key 0 version (12)               1, winning version (12), uv found (ms): a conflict's loser
//	u bucket 0 key 0 upload id (16)             1, str checksum algorithm, str checksum type, template record
//	p upload id (16) part (2)                   a part record
//	b bucket                                    1, uv: objects, bytes, versions, version bytes
//	! "store"                                   1, store id (16), uv incarnation, tenant key check (32)
//	! "counters"                                1, uv: next and first sequence, chunks, chunk bytes, greatest minted
//	                                            time, objects, bytes, versions, version bytes
//
// # What goes, and when
//
// Where a bucket keeps no versions, S3's DELETE writes a delete marker all the same: a tombstone, hidden by
// listings, since a delete that leaves nothing behind cannot be replicated. Replaced versions, the losers of
// conflicts and tombstones of such buckets are removed by GC once they are older than Retention and their
// log entry was trimmed. Whoever trims the log does so when every destination has passed the entry or was
// told to resync, so a tombstone outlives every copy of what it hides; Retention covers the other direction,
// a region that was cut off and still sends older writes.
//
// # Bounds
//
// An object has at most maxChunks chunks (128 GiB at the target size), a record's metadata 64 KiB, a part
// 5 GiB, an upload 10,000 parts. A Writer holds half a MiB and a chunk reference per chunk. When the disk has
// less than FreeFloor left, writes end with ErrNoSpace; reads and deletes go on. A ballast file is given up
// when the disk is full in spite of that, so that the write under way can end.
package store
