package store

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/galleon-net/galleon/replication/object"
)

const (
	// markBits per chunk and markProbes make one chunk in about 300 seem needed that is not. Each collection
	// mixes differently, so that the next one takes it.
	markBits   = 12
	markProbes = 6
	// maxMarkBytes bounds the set: 180 million chunks, 11 TiB, at markBits each; beyond, more garbage
	// stays for longer.
	maxMarkBytes = 256 << 20
)

// markSet is a Bloom filter of chunks to keep (Bloom, "Space/time trade-offs in hash coding with allowable
// errors", 1970): it may hold what was not added and never lacks what was. Safe for concurrent use.
type markSet struct {
	words []uint64 // a power of two of them
	salt  uint64
}

func newMarkSet(chunks int64, salt uint64) *markSet {
	want := min(max(uint64(max(chunks, 0))*markBits/64, 1024), maxMarkBytes/8)
	n := uint64(1) << bits.Len64(want-1)
	return &markSet{words: make([]uint64, n), salt: salt}
}

// probes gives the first bit and the stride; chunk ids are random already, the salt makes each
// collection's collisions its own.
func (m *markSet) probes(id *object.ChunkID) (at, step uint64) {
	return mix(binary.LittleEndian.Uint64(id[0:]) ^ m.salt), mix(binary.LittleEndian.Uint64(id[8:])^m.salt) | 1
}

// mix is the finalizer of splitmix64 (Steele et al., 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (m *markSet) add(id *object.ChunkID) {
	at, step := m.probes(id)
	for range markProbes {
		b := at & (uint64(len(m.words))*64 - 1)
		atomic.OrUint64(&m.words[b/64], 1<<(b%64))
		at += step
	}
}

func (m *markSet) has(id *object.ChunkID) bool {
	at, step := m.probes(id)
	for range markProbes {
		b := at & (uint64(len(m.words))*64 - 1)
		if atomic.LoadUint64(&m.words[b/64])&(1<<(b%64)) == 0 {
			return false
		}
		at += step
	}
	return true
}
