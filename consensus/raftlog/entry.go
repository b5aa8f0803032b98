package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte of a key.
const (
	keyFormat = 'v'
	keyStable = 's'
	keyLog    = 'l'
)

const (
	entryFormat = 1
	// entryHead is what stands before the variable parts, entryFoot the checksum behind them.
	entryHead = 1 + 1 + 8 + 8 + 4
	entryFoot = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func logKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyLog}, index)
}

func encode(l *raft.Log) []byte {
	b := make([]byte, 0, entryHead+len(l.Extensions)+len(l.Data)+entryFoot)
	b = append(b, entryFormat, byte(l.Type))
	b = binary.BigEndian.AppendUint64(b, l.Term)
	var at int64
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Extensions)))
	b = append(b, l.Extensions...)
	b = append(b, l.Data...)
	return binary.BigEndian.AppendUint32(b, checksum(l.Index, b))
}

// decode reads an entry into l, which keeps nothing of b.
func decode(index uint64, b []byte, l *raft.Log) error {
	if len(b) < entryHead+entryFoot {
		return fmt.Errorf("entry %d is damaged: %d bytes, want at least %d", index, len(b), entryHead+entryFoot)
	}
	body, sum := b[:len(b)-entryFoot], binary.BigEndian.Uint32(b[len(b)-entryFoot:])
	if checksum(index, body) != sum {
		return fmt.Errorf("entry %d is damaged: its checksum does not match", index)
	}
	if body[0] != entryFormat {
		return fmt.Errorf("entry %d has format %d, which this version of galleond does not know", index, body[0])
	}
	ext := int(binary.BigEndian.Uint32(body[18:]))
	rest := body[entryHead:]
	if ext < 0 || ext > len(rest) {
		return fmt.Errorf("entry %d is damaged: %d bytes of extensions in %d", index, ext, len(rest))
	}
	*l = raft.Log{Index: index, Type: raft.LogType(body[1]), Term: binary.BigEndian.Uint64(body[2:])}
	if at := int64(binary.BigEndian.Uint64(body[10:])); at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	if ext > 0 {
		l.Extensions = append([]byte(nil), rest[:ext]...)
	}
	if len(rest) > ext {
		l.Data = append([]byte(nil), rest[ext:]...)
	}
	return nil
}

func checksum(index uint64, body []byte) uint32 {
	var i [8]byte
	binary.BigEndian.PutUint64(i[:], index)
	return crc32.Update(crc32.Checksum(i[:], castagnoli), castagnoli, body)
}
