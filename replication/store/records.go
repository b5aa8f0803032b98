package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// counts are what follows from the versions, of a store or of one bucket. "Visible" objects are those whose
// latest version is no delete marker.
type counts struct {
	objects, bytes         int64 // visible
	versions, versionBytes int64 // all
}

func (c *counts) add(d counts) {
	c.objects += d.objects
	c.bytes += d.bytes
	c.versions += d.versions
	c.versionBytes += d.versionBytes
}

func (c *counts) append(b []byte) []byte {
	for _, n := range []int64{c.objects, c.bytes, c.versions, c.versionBytes} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func (d *decoder) counts() counts {
	return counts{int64(d.uvarint()), int64(d.uvarint()), int64(d.uvarint()), int64(d.uvarint())}
}

func decodeCounts(b []byte) (counts, error) {
	d := decoder{b: b}
	d.format()
	c := d.counts()
	return c, d.end("bucket counts")
}

// counters are what the store counts, committed with every group.
type counters struct {
	next, first        Seq // of the log: kept are first..next-1
	chunks, chunkBytes int64
	minted             object.HLC // greatest time of any version minted here
	counts
}

func (c *counters) encode() []byte {
	b := []byte{recordFormat}
	for _, n := range []uint64{uint64(c.next), uint64(c.first), uint64(c.chunks), uint64(c.chunkBytes), uint64(c.minted)} {
		b = binary.AppendUvarint(b, n)
	}
	return c.counts.append(b)
}

func decodeCounters(b []byte) (counters, error) {
	d := decoder{b: b}
	d.format()
	c := counters{next: Seq(d.uvarint()), first: Seq(d.uvarint()), chunks: int64(d.uvarint()), chunkBytes: int64(d.uvarint())}
	c.minted = object.HLC(d.uvarint())
	c.counts = d.counts()
	return c, d.end("counters")
}

// current is what the l keyspace keeps for listings.
type current struct {
	id       object.VersionID
	size     int64
	modified time.Time
	etag     string
	// checksum is the object's, "NAME:value"; records of before this was kept end before it.
	checksum string
}

func (c *current) encode() []byte {
	b := appendVersionID([]byte{recordFormat}, c.id)
	b = binary.AppendUvarint(b, uint64(c.size))
	b = binary.AppendUvarint(b, uint64(c.modified.UnixNano()))
	b = appendString(b, c.etag)
	if c.checksum != "" {
		b = appendString(b, c.checksum)
	}
	return b
}

// checksumOf gives what a listing keeps of a version's checksums.
func checksumOf(v *object.Version) string {
	for _, name := range slices.Sorted(maps.Keys(v.Checksums)) {
		return name + ":" + v.Checksums[name]
	}
	return ""
}

// checksums undoes checksumOf.
func (c *current) checksums() map[string]string {
	name, value, ok := strings.Cut(c.checksum, ":")
	if !ok {
		return nil
	}
	return map[string]string{name: value}
}

func decodeCurrent(b []byte) (current, error) {
	d := decoder{b: b}
	d.format()
	var c current
	c.id = d.version()
	c.size = int64(d.uvarint())
	c.modified = time.Unix(0, int64(d.uvarint())).UTC()
	c.etag = d.string()
	if len(d.b) > 0 {
		if c.checksum = d.string(); c.checksum == "" {
			d.fail("checksum")
		}
	}
	return c, d.end("listing record")
}

// logRecord names what changed; the version itself is in the index.
type logRecord struct {
	purged      bool
	catalog     uint64
	bucket, key string
	id          object.VersionID
}

func (l *logRecord) encode() []byte {
	b := []byte{recordFormat, 0}
	if l.purged {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, l.catalog)
	b = appendString(appendString(b, l.bucket), l.key)
	return appendVersionID(b, l.id)
}

func decodeLogRecord(b []byte) (logRecord, error) {
	d := decoder{b: b}
	d.format()
	kind := d.byte()
	l := logRecord{purged: kind == 1, catalog: d.uvarint(), bucket: d.string(), key: d.string(), id: d.version()}
	if kind > 1 {
		d.fail(fmt.Sprintf("log entry kind %d", kind))
	}
	return l, d.end("log entry")
}

// conflictRecord stands under the loser's key.
type conflictRecord struct {
	winner object.VersionID
	found  time.Time
}

func (c *conflictRecord) encode() []byte {
	b := appendVersionID([]byte{recordFormat}, c.winner)
	return binary.AppendUvarint(b, uint64(c.found.UnixMilli()))
}

func decodeConflict(b []byte) (conflictRecord, error) {
	d := decoder{b: b}
	d.format()
	c := conflictRecord{winner: d.version(), found: time.UnixMilli(int64(d.uvarint())).UTC()}
	return c, d.end("conflict record")
}

// uploadRecord is an unfinished upload: 1, str algorithm, str type, uv created (ms), template record.
type uploadRecord struct {
	algorithm, kind string
	created         time.Time
	template        record
}

func (u *uploadRecord) encode() []byte {
	b := appendString(appendString([]byte{recordFormat}, u.algorithm), u.kind)
	b = binary.AppendUvarint(b, uint64(u.created.UnixMilli()))
	return append(b, u.template.encode()...)
}

func decodeUpload(b []byte) (uploadRecord, error) {
	d := decoder{b: b}
	d.format()
	u := uploadRecord{algorithm: d.string(), kind: d.string(), created: time.UnixMilli(int64(d.uvarint())).UTC()}
	if d.err != nil {
		return u, d.end("upload record")
	}
	var err error
	u.template, err = decodeRecord(d.b)
	return u, err
}

// A part record: 1, uv size, str etag, uv modified (ns), checksums, uv number of chunks, references.
func encodePart(p *Part) []byte {
	b := make([]byte, 0, 96+len(p.Chunks)*chunkRefLen)
	b = append(b, recordFormat)
	b = binary.AppendUvarint(b, uint64(p.Size))
	b = appendString(b, p.ETag)
	b = binary.AppendUvarint(b, uint64(p.Modified.UnixNano()))
	b = appendMap(b, p.Checksums)
	b = binary.AppendUvarint(b, uint64(len(p.Chunks)))
	return appendChunks(b, p.Chunks)
}

func decodePart(b []byte) (Part, error) {
	d := decoder{b: b}
	d.format()
	p := Part{Size: int64(d.uvarint()), ETag: d.string(), Modified: time.Unix(0, int64(d.uvarint())).UTC(), Checksums: d.stringMap()}
	p.Chunks = d.chunks(d.count(maxChunks, chunkRefLen))
	if p.Size < 0 {
		d.fail("size")
	}
	return p, d.end("part record")
}

// identity is the store's own record.
type identity struct {
	id          object.StoreID
	incarnation uint64
	check       [32]byte // tells the tenant key that the store was made with
}

func (i *identity) encode() []byte {
	b := append([]byte{recordFormat}, i.id[:]...)
	b = binary.AppendUvarint(b, i.incarnation)
	return append(b, i.check[:]...)
}

func decodeIdentity(b []byte) (identity, error) {
	d := decoder{b: b}
	d.format()
	var i identity
	copy(i.id[:], d.bytes(len(i.id)))
	i.incarnation = d.uvarint()
	copy(i.check[:], d.bytes(len(i.check)))
	return i, d.end("store record")
}
