package replication

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

type helloBody struct {
	Protocol int    `json:"protocol"`
	Rule     string `json:"rule"`
	Hash     string `json:"hash"`
	Cursor   cursor `json:"cursor"`
	// Aside are the versions that the follower could not take so far, at most maxAside; AsideMore says that
	// there are more.
	Aside     []mark `json:"aside,omitempty"`
	AsideMore bool   `json:"aside_more,omitempty"`
}

type welcomeBody struct {
	Cursor cursor `json:"cursor"`
}

type refuseBody struct {
	Why string `json:"why"`
}

type ackBody struct {
	// Cursor is that of the batch. Batches are acknowledged one by one, in order.
	Cursor cursor `json:"cursor"`
	// Aside are versions of the batch that were set aside.
	Aside []mark `json:"aside,omitempty"`
}

// maxAgain bounds the versions that are asked for again in one frame: their keys may be 1 KiB each, and six
// times that in JSON.
const maxAgain = 128

type againBody struct {
	Versions []ref `json:"versions"`
}

// batch is what the source sends: versions, and where the destination is when it has applied them.
type batch struct {
	replicas []store.Replica
	// gone are versions that were asked for again and that the source has no longer.
	gone   []ref
	cursor cursor
}

// wireBatch is the JSON of a batch.
type wireBatch struct {
	Replicas []wireReplica `json:"replicas,omitempty"`
	Gone     []ref         `json:"gone,omitempty"`
	Cursor   cursor        `json:"cursor"`
}

type wireReplica struct {
	Version      object.Version `json:"version"` // without Chunks
	CatalogIndex uint64         `json:"catalog,omitempty"`
	Purged       bool           `json:"purged,omitempty"`
	// Chunks is the number of references.
	Chunks int `json:"chunks,omitempty"`
	// Bytes are strings of the version that are not UTF-8, which JSON cannot carry, by place.
	Bytes map[string][]byte `json:"bytes,omitempty"`
}

const packedRef = 36

func encodeBatch(b *batch) ([]byte, error) {
	w := wireBatch{Gone: b.gone, Cursor: b.cursor}
	n := 0
	for _, r := range b.replicas {
		wr := wireReplica{Version: r.Version, CatalogIndex: r.CatalogIndex, Purged: r.Purged, Chunks: len(r.Version.Chunks)}
		wr.Version.Chunks = nil
		wr.Bytes = takeBytes(&wr.Version)
		n += wr.Chunks
		w.Replicas = append(w.Replicas, wr)
	}
	head, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 4+len(head)+n*packedRef)
	out = binary.BigEndian.AppendUint32(out, uint32(len(head)))
	out = append(out, head...)
	for _, r := range b.replicas {
		for i := range r.Version.Chunks {
			out = append(out, r.Version.Chunks[i].ID[:]...)
			out = binary.BigEndian.AppendUint32(out, r.Version.Chunks[i].Size)
		}
	}
	return out, nil
}

// decodeBatch checks the form alone. What the versions say is for the store to judge, one by one, so that
// a version that no store would take does not hold up the others.
func decodeBatch(b []byte) (*batch, error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, fmt.Errorf("batch of %d bytes is cut short", len(b))
	}
	n := int(binary.BigEndian.Uint32(b))
	head, refs := b[4:4+n], b[4+n:]
	var w wireBatch
	if err := json.Unmarshal(head, &w); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	out := &batch{cursor: w.Cursor, gone: w.Gone}
	for i := range w.Replicas {
		wr := &w.Replicas[i]
		if wr.Chunks < 0 || wr.Chunks > len(refs)/packedRef {
			return nil, fmt.Errorf("batch: %d chunk references announced, %d bytes left", wr.Chunks, len(refs))
		}
		r := store.Replica{Version: wr.Version, CatalogIndex: wr.CatalogIndex, Purged: wr.Purged}
		giveBytes(&r.Version, wr.Bytes)
		r.Version.Chunks = nil
		if wr.Chunks > 0 {
			r.Version.Chunks = make([]object.ChunkRef, wr.Chunks)
		}
		for j := range r.Version.Chunks {
			r.Version.Chunks[j] = object.ChunkRef{ID: object.ChunkID(refs[:32]), Size: binary.BigEndian.Uint32(refs[32:])}
			refs = refs[packedRef:]
		}
		out.replicas = append(out.replicas, r)
	}
	if len(refs) != 0 {
		return nil, fmt.Errorf("batch: %d bytes more than announced", len(refs))
	}
	return out, nil
}

// Places of strings that a client of S3 chose and that need not be UTF-8.
const (
	placeType   = "type"
	placeMeta   = "meta/"
	placeHeader = "header/"
)

// takeBytes moves strings that JSON would change out of a version; its maps are copied first, others share
// them.
func takeBytes(v *object.Version) map[string][]byte {
	var out map[string][]byte
	take := func(place, s string) bool {
		if utf8.ValidString(s) {
			return false
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[place] = []byte(s)
		return true
	}
	takeMap := func(place string, m map[string]string) map[string]string {
		kept := map[string]string{}
		for k, s := range m {
			if !take(place+k, s) {
				kept[k] = s
			}
		}
		if len(kept) == len(m) {
			return m
		}
		return kept
	}
	if take(placeType, v.ContentType) {
		v.ContentType = ""
	}
	v.Meta, v.Headers = takeMap(placeMeta, v.Meta), takeMap(placeHeader, v.Headers)
	return out
}

func giveBytes(v *object.Version, bytes map[string][]byte) {
	give := func(m *map[string]string, k string, b []byte) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[k] = string(b)
	}
	for place, b := range bytes {
		if k, ok := strings.CutPrefix(place, placeMeta); ok {
			give(&v.Meta, k, b)
		} else if k, ok := strings.CutPrefix(place, placeHeader); ok {
			give(&v.Headers, k, b)
		} else if place == placeType {
			v.ContentType = string(b)
		}
	}
}

func packIDs(ids []object.ChunkID) []byte {
	b := make([]byte, 0, 32*len(ids))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

func unpackIDs(b []byte) ([]object.ChunkID, error) {
	if len(b)%32 != 0 {
		return nil, fmt.Errorf("chunk identities of %d bytes together", len(b))
	}
	ids := make([]object.ChunkID, 0, len(b)/32)
	for ; len(b) > 0; b = b[32:] {
		ids = append(ids, object.ChunkID(b[:32]))
	}
	return ids, nil
}
