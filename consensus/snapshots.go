package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// snapshots is Raft's snapshot store on any file system. (raft.FileSnapshotStore knows only the real
// one, so no test could crash it.) A file is
//
//	meta length (4) ─ meta, JSON ─ image ─ SHA-256 of all before (32)
//
// and appears under its name only when it is whole. Two are kept.
type snapshots struct {
	fs   vfs.FS
	dir  string
	emit func(Event)

	// mu guards conf, the index of the newest configuration that a snapshot brought.
	mu   sync.Mutex
	conf uint64
}

const (
	snapshotsKept   = 2
	snapshotSuffix  = ".snapshot"
	maxSnapshotMeta = 128 << 10
)

func openSnapshots(fs vfs.FS, dir string, emit func(Event)) (*snapshots, error) {
	if err := mkdir(fs, dir); err != nil {
		return nil, err
	}
	s := &snapshots{fs: fs, dir: dir, emit: emit}
	list, err := s.List()
	if err == nil && len(list) > 0 {
		s.conf = list[0].ConfigurationIndex
	}
	return s, err
}

// Create begins a snapshot. It is kept in memory until it is whole: it is smaller than maxImage.
func (s *snapshots) Create(v raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: s, meta: raft.SnapshotMeta{
		Version: v, ID: snapshotID(index, term), Index: index, Term: term, Configuration: conf, ConfigurationIndex: confIndex,
	}}, nil
}

// snapshotID sorts by age.
func snapshotID(index, term uint64) string { return fmt.Sprintf("%020d-%020d", index, term) }

// List gives the snapshots that are whole, the newest first.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var out []*raft.SnapshotMeta
	for _, n := range names {
		meta, _, err := s.read(n)
		if err != nil {
			s.emit(FileDamaged{s.fs.PathJoin(s.dir, n), err})
			continue
		}
		out = append(out, meta)
	}
	if len(names) > 0 && len(out) == 0 {
		return nil, fmt.Errorf("no snapshot in %s is whole", s.dir)
	}
	return out, nil
}

// names gives the file names, the newest first.
func (s *snapshots) names() ([]string, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, snapshotSuffix) })
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// Open gives a snapshot's image.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, data, err := s.read(id + snapshotSuffix)
	if err != nil {
		return nil, nil, err
	}
	return meta, io.NopCloser(bytes.NewReader(data)), nil
}

func (s *snapshots) read(name string) (*raft.SnapshotMeta, []byte, error) {
	b, err := readFile(s.fs, s.fs.PathJoin(s.dir, name), maxImage+maxSnapshotMeta)
	if err != nil {
		return nil, nil, fmt.Errorf("read snapshot %s: %w", name, err)
	}
	if len(b) < 4+sha256.Size {
		return nil, nil, fmt.Errorf("snapshot %s has only %d bytes", name, len(b))
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, nil, fmt.Errorf("snapshot %s is damaged: its hash does not match", name)
	}
	n := binary.BigEndian.Uint32(body)
	if n > maxSnapshotMeta || int64(n) > int64(len(body)-4) {
		return nil, nil, fmt.Errorf("snapshot %s announces %d bytes of meta in %d", name, n, len(body))
	}
	meta := &raft.SnapshotMeta{}
	if err := json.Unmarshal(body[4:4+n], meta); err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	return meta, body[4+n:], nil
}

func (s *snapshots) write(meta raft.SnapshotMeta, data []byte) error {
	meta.Size = int64(len(data))
	m, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
	b = append(b, data...)
	sum := sha256.Sum256(b)
	if err := writeFile(s.fs, s.fs.PathJoin(s.dir, meta.ID+snapshotSuffix), append(b, sum[:]...)); err != nil {
		return err
	}
	s.mu.Lock()
	s.conf = max(s.conf, meta.ConfigurationIndex)
	s.mu.Unlock()
	names, err := s.names()
	for i, n := range names {
		if i >= snapshotsKept {
			err = errors.Join(err, s.fs.Remove(s.fs.PathJoin(s.dir, n)))
		}
	}
	return errors.Join(err, syncDir(s.fs, s.dir))
}

// configured is the index of the newest configuration that a snapshot brought.
func (s *snapshots) configured() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

// sink collects one snapshot.
type sink struct {
	store *snapshots
	meta  raft.SnapshotMeta
	buf   bytes.Buffer
	done  bool
}

func (k *sink) ID() string { return k.meta.ID }

func (k *sink) Write(b []byte) (int, error) {
	if k.buf.Len()+len(b) > maxImage {
		return 0, fmt.Errorf("snapshot %s is larger than %d bytes", k.meta.ID, maxImage)
	}
	return k.buf.Write(b)
}

func (k *sink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	return k.store.write(k.meta, k.buf.Bytes())
}

func (k *sink) Cancel() error {
	k.done = true
	return nil
}
