package s3

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// nullVersion is what S3 calls the only version of a key in a bucket without versioning.
const nullVersion = "null"

// FormatVersionID gives a version's name as clients see it: 24 hex digits, time and router.
func FormatVersionID(id object.VersionID) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(id.Time))
	binary.BigEndian.PutUint32(b[8:], uint32(id.Origin))
	return hex.EncodeToString(b[:])
}

// ParseVersionID reads what FormatVersionID gives. The empty string and "null" are zero: the latest.
func ParseVersionID(s string) (object.VersionID, error) {
	if s == "" || s == nullVersion {
		return object.VersionID{}, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 12 {
		return object.VersionID{}, apiErr("InvalidArgument", "the version id is not one of this store's")
	}
	return object.VersionID{
		Time: object.HLC(binary.BigEndian.Uint64(b[:8])), Origin: topo.RouterID(binary.BigEndian.Uint32(b[8:])),
	}, nil
}

// versionOf gives the versionId of the query.
func (c *call) versionOf() (object.VersionID, error) {
	s, asked := c.query.Get("versionId")
	if asked && s == "" {
		return object.VersionID{}, apiErr("InvalidArgument", "versionId is empty")
	}
	return ParseVersionID(s)
}
