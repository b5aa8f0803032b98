package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// recordFormat begins every value.
const recordFormat = 1

// Limits of one record. They hold for what clients and peers send as well as for what is read.
const (
	// maxMeta bounds a version's strings and maps together, in bytes.
	maxMeta = 64 << 10
	// maxChunks bounds a manifest: 2 Mi references are 72 MiB.
	maxChunks = 2 << 20
	// maxParts is S3's.
	maxParts = 10_000
	// inlineChunks is how many references stand in the version record itself: half a MiB of object at
	// the target size, so that a small object costs no manifest key.
	inlineChunks = 8
	// chunkRefLen is the length of a reference: id and size.
	chunkRefLen = 36
)

// record is a version as one store keeps it.
//
//	1, flags (1 delete marker, 2 chunks are in the manifest keyspace, 4 null, 8 tombstone, 16 part
//	  checksums follow, 32 attributes follow)
//	uv sequence, uv catalog index, uv arrived (ms since 1970)
//	replaces: version (12), all ones for none
//	str region, uv modified (ns since 1970), uv size, str etag, sum (32), str content type
//	headers, meta, checksums: uv count, then str key and str value each, by key
//	uv number of parts, uv size of each
//	uv number of chunks, then the references unless flag 2
//	with flag 16: uv number, str each
//	with flag 32: attributes, see encode_attributes.go
type record struct {
	v object.Version // without Bucket, Key and ID, which are in the key; Chunks only when inline
	// seq is the entry of this store's log that the version came with.
	seq     Seq
	catalog uint64
	// arrived is when this store took it; retention counts from here, since a replica may be old.
	arrived time.Time
	chunks  int // how many there are, inline or not
}

const (
	flagMarker     = 1
	flagManifest   = 2
	flagNull       = 4
	flagTombstone  = 8
	flagPartSums   = 16
	flagAttributes = 32

	allFlags = flagMarker | flagManifest | flagNull | flagTombstone | flagPartSums | flagAttributes
)

// flags says what of a version is there.
func flagsOf(v *object.Version) (f byte) {
	for _, x := range []struct {
		set  bool
		flag byte
	}{
		{v.DeleteMarker, flagMarker}, {len(v.Chunks) > inlineChunks, flagManifest}, {v.Null, flagNull}, {v.Tombstone, flagTombstone},
		{len(v.PartChecksums) > 0, flagPartSums}, {!v.Attributes.IsZero(), flagAttributes},
	} {
		if x.set {
			f |= x.flag
		}
	}
	return f
}

func (r *record) encode() []byte {
	v := &r.v
	b := make([]byte, 0, 180+len(v.Chunks)*chunkRefLen+metaSize(v))
	flags := flagsOf(v)
	if r.chunks > inlineChunks {
		flags |= flagManifest // also where the references were left out
	}
	b = append(b, recordFormat, flags)
	b = binary.AppendUvarint(b, uint64(r.seq))
	b = binary.AppendUvarint(b, r.catalog)
	b = binary.AppendUvarint(b, uint64(r.arrived.UnixMilli()))
	b = appendVersionID(b, v.Replaces)
	b = appendString(b, string(v.Region))
	b = binary.AppendUvarint(b, uint64(v.Modified.UnixNano()))
	b = binary.AppendUvarint(b, uint64(v.Size))
	b = appendString(b, v.ETag)
	b = append(b, v.Sum[:]...)
	b = appendString(b, v.ContentType)
	for _, m := range []map[string]string{v.Headers, v.Meta, v.Checksums} {
		b = appendMap(b, m)
	}
	b = binary.AppendUvarint(b, uint64(len(v.PartSizes)))
	for _, n := range v.PartSizes {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if flags&flagManifest != 0 {
		b = binary.AppendUvarint(b, uint64(r.chunks))
	} else {
		b = binary.AppendUvarint(b, uint64(len(v.Chunks)))
		b = appendChunks(b, v.Chunks)
	}
	if flags&flagPartSums != 0 {
		b = appendStrings(b, v.PartChecksums)
	}
	if flags&flagAttributes != 0 {
		b = appendAttributes(b, &v.Attributes)
	}
	return b
}

func decodeRecord(b []byte) (record, error) {
	d := decoder{b: b}
	d.format()
	flags := d.byte()
	var r record
	v := &r.v
	v.DeleteMarker, v.Null, v.Tombstone = flags&flagMarker != 0, flags&flagNull != 0, flags&flagTombstone != 0
	r.seq = Seq(d.uvarint())
	r.catalog = d.uvarint()
	r.arrived = time.UnixMilli(int64(d.uvarint())).UTC()
	v.Replaces = d.version()
	v.Region = topo.Region(d.string())
	v.Modified = time.Unix(0, int64(d.uvarint())).UTC()
	v.Size = int64(d.uvarint())
	v.ETag = d.string()
	copy(v.Sum[:], d.bytes(len(v.Sum)))
	v.ContentType = d.string()
	v.Headers, v.Meta, v.Checksums = d.stringMap(), d.stringMap(), d.stringMap()
	if n := d.count(maxParts, 1); n > 0 {
		v.PartSizes = make([]int64, n)
		for i := range v.PartSizes {
			v.PartSizes[i] = int64(d.uvarint())
		}
	}
	if flags&flagManifest != 0 {
		r.chunks = d.count(maxChunks, 0)
	} else {
		r.chunks = d.count(inlineChunks, chunkRefLen)
		v.Chunks = d.chunks(r.chunks)
	}
	if flags&flagPartSums != 0 {
		v.PartChecksums = d.strings(maxParts)
	}
	if flags&flagAttributes != 0 {
		v.Attributes = d.attributes()
	}
	if flags&^allFlags != 0 || v.Size < 0 {
		d.fail("flags or size")
	}
	return r, d.end("version record")
}

// metaSize is what maxMeta bounds.
func metaSize(v *object.Version) int {
	n := len(v.Region) + len(v.ETag) + len(v.ContentType) + 9*len(v.PartSizes)
	for _, t := range v.Attributes.Tags {
		n += len(t.Key) + len(t.Value) + 6
	}
	for _, m := range []map[string]string{v.Headers, v.Meta, v.Checksums} {
		for k, s := range m {
			n += len(k) + len(s) + 6
		}
	}
	return n
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMap(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, k), m[k])
	}
	return b
}

func appendChunks(b []byte, refs []object.ChunkRef) []byte {
	for i := range refs {
		b = append(b, refs[i].ID[:]...)
		b = binary.BigEndian.AppendUint32(b, refs[i].Size)
	}
	return b
}

// decoder reads a value; after the first thing that does not fit it gives zeros and remembers why.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s does not fit", what)
	}
	d.b = nil
}

func (d *decoder) format() {
	if f := d.byte(); f != recordFormat {
		d.fail(fmt.Sprintf("format %d (this galleond knows %d; was the store written by a newer one?)", f, recordFormat))
	}
}

// bytes gives the next n bytes, not copied.
func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail("length")
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("varint")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of items that follow, each of at least size bytes.
func (d *decoder) count(most, size int) int {
	n := d.uvarint()
	if n > uint64(most) || n*uint64(size) > uint64(len(d.b)) {
		d.fail("count")
		return 0
	}
	return int(n)
}

func (d *decoder) version() object.VersionID {
	if p := d.bytes(versionLen); p != nil {
		return parseVersionID(p)
	}
	return object.VersionID{}
}

func (d *decoder) string() string { return string(d.bytes(d.count(len(d.b), 1))) }

func (d *decoder) stringMap() map[string]string {
	n := d.count(len(d.b), 2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

func (d *decoder) chunks(n int) []object.ChunkRef {
	if n == 0 || n*chunkRefLen > len(d.b) {
		if n > 0 {
			d.fail("chunk references")
		}
		return nil
	}
	refs := make([]object.ChunkRef, n)
	for i := range refs {
		p := d.bytes(chunkRefLen)
		copy(refs[i].ID[:], p)
		refs[i].Size = binary.BigEndian.Uint32(p[len(refs[i].ID):])
	}
	return refs
}

// end says whether the whole value was understood.
func (d *decoder) end(what string) error {
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.b))
	}
	if d.err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, d.err)
	}
	return nil
}
