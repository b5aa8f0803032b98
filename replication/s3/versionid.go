package s3

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// nullVersion is what S3 calls the version that was written where no versions were kept.
const nullVersion = "null"

// FormatVersionID gives a version's name as clients see it: 24 hex digits, time and router.
func FormatVersionID(id object.VersionID) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(id.Time))
	binary.BigEndian.PutUint32(b[8:], uint32(id.Origin))
	return hex.EncodeToString(b[:])
}

// ParseVersionID reads what FormatVersionID gives. The empty string is zero: the latest.
func ParseVersionID(s string) (object.VersionID, error) {
	switch s {
	case "":
		return object.VersionID{}, nil
	case nullVersion:
		return object.NullVersion, nil
	}
	b, err := hex.DecodeString(s)
	if (err != nil || len(b) != 12) && foreign(s) {
		return noVersion, nil
	}
	if err != nil || len(b) != 12 {
		return object.VersionID{}, badArgument("versionId", s, "Invalid version id specified")
	}
	return object.VersionID{
		Time: object.HLC(binary.BigEndian.Uint64(b[:8])), Origin: topo.RouterID(binary.BigEndian.Uint32(b[8:])),
	}, nil
}

// noVersion is an id that no version has.
var noVersion = object.VersionID{Origin: 1}

// foreign says whether an id may be another store's: clients that moved here ask for those that they noted there, and
// are told that they do not exist.
func foreign(s string) bool {
	return len(s) >= 20 && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	})
}

// versionOf gives the versionId of the query.
func (c *call) versionOf() (object.VersionID, error) {
	s, asked := c.query.Get("versionId")
	if asked && s == "" && !c.amends() {
		return object.VersionID{}, badArgument("versionId", "", "Version id cannot be the empty string")
	}
	return ParseVersionID(s)
}

// versionOfBucket is versionOf where the bucket may keep no versions: there the null version is the latest.
func (c *call) versionOfBucket(b object.Bucket) (object.VersionID, error) {
	id, err := c.versionOf()
	if id == object.NullVersion && unversioned(b) {
		id = object.VersionID{}
	}
	return id, err
}

// unversioned says whether a bucket never kept versions.
func unversioned(b object.Bucket) bool { return !b.Versioning && !b.Suspended }

// versionName is how clients know a version.
func versionName(b object.Bucket, v object.Version) string {
	if v.Null || unversioned(b) {
		return nullVersion
	}
	return FormatVersionID(v.ID)
}
