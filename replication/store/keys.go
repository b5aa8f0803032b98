package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// The keyspaces; see the package comment.
const (
	spaceChunk    = 'c'
	spaceVersion  = 'v'
	spaceManifest = 'm'
	spaceCurrent  = 'l'
	spaceLog      = 'g'
	spaceCursor   = 'k'
	spaceConflict = 'x'
	spaceUpload   = 'u'
	spacePart     = 'p'
	spaceBucket   = 'b'
	spaceMeta     = '!'
)

var (
	keyStore    = []byte("!store")
	keyCounters = []byte("!counters")
)

const (
	versionLen  = 12
	uploadIDLen = 16
)

// chunkKey gives the key of a chunk.
func chunkKey(id object.ChunkID) []byte { return append([]byte{spaceChunk}, id[:]...) }

// objectKey gives the beginning of all keys of one object in a keyspace: bucket 0 key 0.
func objectKey(space byte, bucket, key string) []byte {
	b := make([]byte, 0, 1+len(bucket)+1+len(key)+1+versionLen+8)
	b = append(b, space)
	b = append(b, bucket...)
	b = append(b, 0)
	b = append(b, key...)
	return append(b, 0)
}

func bucketKey(space byte, bucket string) []byte {
	return append(append([]byte{space}, bucket...), 0)
}

func currentKey(bucket, key string) []byte {
	return append(bucketKey(spaceCurrent, bucket), key...)
}

func versionKey(space byte, bucket, key string, id object.VersionID) []byte {
	return appendVersionID(objectKey(space, bucket, key), id)
}

// appendVersionID writes id so that newer ones sort first.
func appendVersionID(b []byte, id object.VersionID) []byte {
	b = binary.BigEndian.AppendUint64(b, ^uint64(id.Time))
	return binary.BigEndian.AppendUint32(b, ^uint32(id.Origin))
}

func parseVersionID(b []byte) object.VersionID {
	return object.VersionID{
		Time:   object.HLC(^binary.BigEndian.Uint64(b)),
		Origin: topo.RouterID(^binary.BigEndian.Uint32(b[8:])),
	}
}

// parseVersionKey undoes versionKey; tail is the number of bytes behind the version.
func parseVersionKey(k []byte, tail int) (bucket, key string, id object.VersionID, err error) {
	bad := fmt.Errorf("%w: index key %.60q", ErrCorrupt, k)
	if len(k) < 1+versionLen+tail {
		return "", "", id, bad
	}
	id = parseVersionID(k[len(k)-tail-versionLen:])
	name := k[1 : len(k)-tail-versionLen]
	b, rest, ok := bytes.Cut(name, []byte{0})
	if !ok || len(rest) == 0 || rest[len(rest)-1] != 0 {
		return "", "", id, bad
	}
	return string(b), string(rest[:len(rest)-1]), id, nil
}

func logKey(s Seq) []byte { return binary.BigEndian.AppendUint64([]byte{spaceLog}, uint64(s)) }

func cursorKey(name string) []byte { return append([]byte{spaceCursor}, name...) }

func uploadKey(bucket, key string, id [uploadIDLen]byte) []byte {
	return append(objectKey(spaceUpload, bucket, key), id[:]...)
}

func partKey(id [uploadIDLen]byte, number int) []byte {
	b := append([]byte{spacePart}, id[:]...)
	return binary.BigEndian.AppendUint16(b, uint16(number))
}

// successor gives the first key behind all that begin with p. The keyspaces' first byte is below 0xff,
// so there always is one.
func successor(p []byte) []byte {
	s := bytes.Clone(p)
	for i := len(s) - 1; i >= 0; i-- {
		if s[i]++; s[i] != 0 {
			return s[:i+1]
		}
	}
	panic(fmt.Sprintf("store: no key behind %x", p))
}

// parseUploadKey undoes uploadKey but for the id, which is the last uploadIDLen bytes.
func parseUploadKey(k []byte) (bucket, key string, err error) {
	// The first versionLen bytes of the id stand where a version would.
	bucket, key, _, err = parseVersionKey(k, uploadIDLen-versionLen)
	return bucket, key, err
}
