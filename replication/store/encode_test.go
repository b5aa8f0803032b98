package store

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

var rewrite = flag.Bool("rewrite", false, "write the golden vectors anew; they must never differ once released")

// codec is one kind of value: how it is made and how it is read and made again.
type codec struct {
	name   string
	sample []byte
	again  func(b []byte) ([]byte, error)
}

func sampleRecord(chunks int) *record {
	r := &record{
		v: object.Version{
			Bucket: "b", Key: "k", Region: "cn-hangzhou", Modified: time.Unix(1795521600, 123456789).UTC(), ETag: "etag-2", Replaces: object.VersionID{Time: 1, Origin: 2},
			Sum: chunk.Sum(nil), ContentType: "text/plain", Headers: map[string]string{"Cache-Control": "no-store"},
			Meta: map[string]string{"b": "2", "a": "1"}, Checksums: map[string]string{"CRC32": "AAAA"}, PartSizes: []int64{300, 7},
		},
		seq: 300, catalog: 5, arrived: time.UnixMilli(1795521600123).UTC(), chunks: chunks,
	}
	for i := range chunks {
		r.v.Chunks = append(r.v.Chunks, object.ChunkRef{ID: chunk.Sum([]byte{byte(i)}), Size: uint32(i + 1)})
		r.v.Size += int64(i + 1)
	}
	return r
}

// attributed is a record with all that came after the first release.
func attributed() *record {
	r := sampleRecord(2)
	at := func(n object.HLC, region topo.Region) object.Change {
		return object.Change{VersionID: object.VersionID{Time: n, Origin: 9}, Region: region}
	}
	r.v.Null, r.v.PartChecksums = true, []string{"AAAA", "BBBB"}
	r.v.Attributes = object.Attributes{
		Tags: []object.Tag{{Key: "team", Value: "a b"}, {Key: "x"}}, TagsAt: at(5, "cn-hangzhou"),
		Retention: object.Retention{Mode: object.Compliance, Until: time.UnixMilli(1795521600123).UTC()}, RetentionAt: at(6, "mx-queretaro"),
		Hold: true,
	}
	return r
}

func codecs() []codec {
	id := object.VersionID{Time: object.MakeHLC(time.UnixMilli(1795521600123), 7), Origin: 3}
	rec := func(b []byte) ([]byte, error) {
		r, err := decodeRecord(b)
		if err != nil {
			return nil, err
		}
		if r.chunks > len(r.v.Chunks) { // what is in the manifest is not in the record
			r.v.Chunks = make([]object.ChunkRef, r.chunks)
		}
		return r.encode(), nil
	}
	upload := uploadRecord{algorithm: "CRC32", kind: "COMPOSITE", created: time.UnixMilli(1795521600123).UTC(), template: *sampleRecord(0)}
	part := Part{Size: 3, ETag: "etag", Modified: time.Unix(1795521600, 5).UTC(), Checksums: map[string]string{"SHA1": "x"}, Chunks: sampleRecord(2).v.Chunks}
	conflict := conflictRecord{winner: id, found: time.UnixMilli(1795521600123).UTC()}
	cur := current{id: id, size: 1 << 40, modified: time.Unix(1795521600, 5).UTC(), etag: "etag"}
	count := counters{1, 2, 3, 4, 5, counts{6, 7, 8, 9}}
	log := logRecord{purged: true, catalog: 9, bucket: "b", key: "k", id: id}
	ident := identity{id: object.StoreID{1, 2}, incarnation: 3, check: [32]byte{4}}
	return []codec{
		{"record", sampleRecord(2).encode(), rec},
		{"record with a manifest", sampleRecord(9).encode(), rec},
		{"counters", count.encode(), func(b []byte) ([]byte, error) { c, err := decodeCounters(b); return c.encode(), err }},
		{"bucket", count.append([]byte{recordFormat}), func(b []byte) ([]byte, error) { c, err := decodeCounts(b); return c.append([]byte{recordFormat}), err }},
		{"listing", cur.encode(), func(b []byte) ([]byte, error) { c, err := decodeCurrent(b); return c.encode(), err }},
		{"log", log.encode(), func(b []byte) ([]byte, error) { l, err := decodeLogRecord(b); return l.encode(), err }},
		{"conflict", conflict.encode(), func(b []byte) ([]byte, error) { c, err := decodeConflict(b); return c.encode(), err }},
		{"upload", upload.encode(), func(b []byte) ([]byte, error) {
			u, err := decodeUpload(b)
			if err != nil {
				return nil, err
			}
			if u.template.chunks > len(u.template.v.Chunks) {
				u.template.v.Chunks = make([]object.ChunkRef, u.template.chunks)
			}
			return u.encode(), nil
		}},
		{"part", encodePart(&part), func(b []byte) ([]byte, error) { p, err := decodePart(b); return encodePart(&p), err }},
		{"segment", appendChunks([]byte{recordFormat}, sampleRecord(3).v.Chunks), func(b []byte) ([]byte, error) {
			refs, err := decodeSegment(b)
			return appendChunks([]byte{recordFormat}, refs), err
		}},
		{"store", ident.encode(), func(b []byte) ([]byte, error) { i, err := decodeIdentity(b); return i.encode(), err }},
		{"record with attributes", attributed().encode(), rec},
		{"listing with a checksum", (&current{id: id, size: 7, modified: time.Unix(1795521600, 5).UTC(), etag: "etag", checksum: "CRC32:AAAA"}).encode(),
			func(b []byte) ([]byte, error) { c, err := decodeCurrent(b); return c.encode(), err }},
	}
}

// The golden file pins every value and key: a store on somebody's disk must stay readable.
func TestGolden(t *testing.T) {
	var out strings.Builder
	for _, c := range codecs() {
		fmt.Fprintf(&out, "%s %s\n", c.name, hex.EncodeToString(c.sample))
		again, err := c.again(c.sample)
		if err != nil || !bytes.Equal(again, c.sample) {
			t.Errorf("%s does not come back: %v", c.name, err)
		}
		for n := range c.sample {
			// A listing that ends before its checksum is one of before there were any.
			if _, err := c.again(c.sample[:n]); err == nil && c.name != "segment" && !strings.HasPrefix(c.name, "listing with") {
				t.Errorf("%s cut to %d bytes was accepted", c.name, n)
			}
		}
		if _, err := c.again(append(bytes.Clone(c.sample), 0)); err == nil {
			t.Errorf("%s with a byte too many was accepted", c.name)
		}
		if _, err := c.again(append([]byte{recordFormat + 1}, c.sample[1:]...)); err == nil || !strings.Contains(err.Error(), "newer") {
			t.Errorf("%s of another format: %v", c.name, err)
		}
	}
	id := object.VersionID{Time: 1 << 20, Origin: 3}
	for i, k := range [][]byte{
		chunkKey(chunk.Sum(nil)), versionKey(spaceVersion, "b", "k", id), currentKey("b", "k"), logKey(300), cursorKey("c"),
		uploadKey("b", "k", [uploadIDLen]byte{1, 2}), partKey([uploadIDLen]byte{1, 2}, 300),
	} {
		fmt.Fprintf(&out, "key %d %s\n", i, hex.EncodeToString(k))
	}
	const file = "testdata/golden_v1.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("formats are no longer version 1; got:\n%s", out.String())
	}
}

// FuzzDecode gives every decoder any bytes: none may panic, take memory that the bytes do not pay for, or accept
// what it would not write back alike in meaning.
func FuzzDecode(f *testing.F) {
	all := codecs()
	for i, c := range all {
		f.Add(uint8(i), c.sample)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		c := all[int(which)%len(all)]
		once, err := c.again(b)
		if err != nil {
			return
		}
		twice, err := c.again(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s: what was read and written is not read again: %v\n%x\n%x", c.name, err, once, twice)
		}
	})
}

func FuzzVersionKey(f *testing.F) {
	f.Add(versionKey(spaceVersion, "bucket", "a/b", object.VersionID{Time: 5, Origin: 2}))
	f.Fuzz(func(t *testing.T, k []byte) {
		bucket, key, id, err := parseVersionKey(k, 0)
		if err == nil && !bytes.Equal(versionKey(k[0], bucket, key, id), k) {
			t.Errorf("%x is not what it was read as: %q %q %v", k, bucket, key, id)
		}
	})
}

func TestRecordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, 60)
		maps := rapid.MapOfN(text, text, 1, 4)
		r := sampleRecord(rapid.IntRange(1, inlineChunks).Draw(t, "chunks"))
		r.v.DeleteMarker = rapid.Bool().Draw(t, "marker")
		r.v.Region = topo.Region(text.Draw(t, "region"))
		r.v.Null, r.v.Tombstone = rapid.Bool().Draw(t, "null"), rapid.Bool().Draw(t, "tombstone")
		if rapid.Bool().Draw(t, "attributes") {
			r.v.Attributes = attributed().v.Attributes
			r.v.Attributes.Tags[0].Value = text.Draw(t, "tag")
		}
		r.v.Meta, r.v.Headers = maps.Draw(t, "meta"), maps.Draw(t, "headers")
		r.v.Size = rapid.Int64Min(0).Draw(t, "size")
		r.v.Modified = time.Unix(rapid.Int64Range(-1e9, 9e9).Draw(t, "s"), 0).UTC()
		got, err := decodeRecord(r.encode())
		got.v.Bucket, got.v.Key = r.v.Bucket, r.v.Key
		if err != nil || !reflect.DeepEqual(got, *r) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, *r)
		}
	})
}

// The order of version keys is the order of listings: keys by byte, versions newest first.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.RuneFrom([]rune("\x01ab/é\U0010ffff")), 1, 4, -1)
		draw := func(n string) (string, object.VersionID) {
			return key.Draw(t, "key"+n), object.VersionID{Time: object.HLC(rapid.Uint64Max(3).Draw(t, "time"+n)), Origin: topo.RouterID(rapid.Uint32Max(2).Draw(t, "origin"+n))}
		}
		k1, v1 := draw("1")
		k2, v2 := draw("2")
		want := strings.Compare(k1, k2)
		if want == 0 && v1 != v2 {
			if want = 1; v2.Less(v1) {
				want = -1
			}
		}
		if got := bytes.Compare(versionKey('v', "b", k1, v1), versionKey('v', "b", k2, v2)); got != want {
			t.Fatalf("%q %v against %q %v: %d, want %d", k1, v1, k2, v2, got, want)
		}
	})
}
