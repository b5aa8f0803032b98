// Package object names what is stored and replicated: buckets, keys, versions, manifests of chunks,
// and the policies that say what goes where. It is pure.
//
// An object is a chain of versions. A version is a manifest: an ordered list of chunks, each named by
// its keyed BLAKE3. Metadata becomes visible after the data that it names, everywhere.
package object

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// ChunkID is a chunk's identity: BLAKE3, keyed per tenant, of the chunk's bytes.
type ChunkID [32]byte

func (c ChunkID) String() string { return hex.EncodeToString(c[:]) }

// MarshalText gives lower-case hex.
func (c ChunkID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (c *ChunkID) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(c) {
		return fmt.Errorf("chunk id of %d characters: want %d", len(b), 2*len(c))
	}
	_, err := hex.Decode(c[:], b)
	return err
}

// ChunkRef is a chunk in a manifest. Size is in bytes, before compression.
type ChunkRef struct {
	ID   ChunkID `json:"id"`
	Size uint32  `json:"size"`
}

// StoreID names one store on one disk: made at random when the store is created, so that a store that
// was lost and made anew is a different one. Incarnation counts restores from a backup.
type StoreID [16]byte

func (s StoreID) String() string { return hex.EncodeToString(s[:]) }

// VersionID names a version for the life of its object, the same in every region. It is the hybrid
// time of the write and the router that took it, so it is unique and orders versions: the greatest
// VersionID of a key is its latest version (last writer wins).
type VersionID struct {
	Time   HLC           `json:"time"`
	Origin topo.RouterID `json:"origin"`
}

// HLC is a hybrid logical clock reading: 48 bits of milliseconds since 1970 and a 16-bit counter
// (Kulkarni et al., "Logical Physical Clocks", 2014).
type HLC uint64

// Wall gives the physical part.
func (h HLC) Wall() time.Time { return time.UnixMilli(int64(h >> 16)).UTC() }

// Version is one version of one key: all that is known of it but the bytes.
type Version struct {
	Bucket string    `json:"bucket"`
	Key    string    `json:"key"`
	ID     VersionID `json:"id"`
	// Replaces is the latest version that the writer saw under the key, zero when it saw none. Two
	// versions of which neither replaces the other, directly or not, are a conflict.
	Replaces VersionID `json:"replaces,omitzero"`
	// DeleteMarker versions have no bytes and hide the versions below them.
	DeleteMarker bool `json:"delete_marker,omitempty"`
	// Region is where the write was made; rules match on it and only its routers send it on.
	Region   topo.Region `json:"region"`
	Modified time.Time   `json:"modified"`
	Size     int64       `json:"size"`
	// ETag is what S3 clients compare, without quotes: MD5 in hex, or MD5 of MD5s and a part count.
	ETag string `json:"etag"`
	// Sum is the plain BLAKE3 of the whole object.
	Sum         [32]byte `json:"sum"`
	ContentType string   `json:"content_type,omitempty"`
	// Headers are the other standard headers that S3 keeps (Cache-Control, Content-Encoding, ...).
	Headers map[string]string `json:"headers,omitempty"`
	// Meta is the user's metadata, keys in lower case without the x-amz-meta- prefix.
	Meta map[string]string `json:"meta,omitempty"`
	// Checksums are S3 checksums by algorithm name in upper case, base64 as on the wire.
	Checksums map[string]string `json:"checksums,omitempty"`
	// PartSizes is the layout of a multipart upload, empty for a plain PUT.
	PartSizes []int64 `json:"part_sizes,omitempty"`
	// PartChecksums are the parts' checksums under the object's algorithm, one for each of PartSizes, or empty.
	PartChecksums []string `json:"part_checksums,omitempty"`
	// Null versions were written while the bucket kept no versions: of a key's the newest is the one that
	// S3 calls "null", and the others are replaced.
	Null bool `json:"null,omitempty"`
	// Tombstone marks the delete markers of buckets that never kept versions: no client is shown them.
	Tombstone bool `json:"tombstone,omitempty"`
	// Attributes are what may change of a version after it was written.
	Attributes Attributes `json:"attributes,omitzero"`
	Chunks     []ChunkRef `json:"chunks,omitempty"`
}

// Bucket is a bucket as the catalog knows it.
type Bucket struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Versioning keeps old versions listed; without it a replaced version is kept only for a while.
	Versioning bool `json:"versioning,omitempty"`
	// Suspended says that versions were kept once and stay, and that new writes replace the null version alone.
	Suspended bool `json:"suspended,omitempty"`
	// Locked buckets hold versions under retention and legal holds (S3 Object Lock). Nothing unlocks one.
	Locked bool `json:"locked,omitempty"`
	// Settings are the documents that clients put on the bucket, each as it came and was understood.
	Settings map[Setting]string `json:"settings,omitempty"`
	// Ack says when a PUT may return.
	Ack Ack `json:"ack"`
}
