package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
)

const diskCategory = vfs.WriteCategoryUnspecified

// writeFile replaces a file so that after a crash either the old or the new one is there, whole.
func writeFile(fs vfs.FS, path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := fs.Create(tmp, diskCategory)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fs.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(fs, fs.PathDir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mkdir makes a directory that outlives a crash.
func mkdir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	return nil
}

// readFile reads a file of at most the given size in bytes.
func readFile(fs vfs.FS, path string, most int64) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return b, err
}

// image is a state as it lies in a snapshot, in the file of the last good state and in a backup:
//
//	magic (8) ─ cluster length (1), cluster ─ tier (1) ─ state length (4), state ─ SHA-256 (32)
//
// Integers are big endian; the hash covers everything before it.
type image struct {
	Cluster string
	// Tier is the index of the timeouts that the voters use.
	Tier  int
	State *state.State
}

const (
	imageMagic = "GLNSTAT\x01"
	maxImage   = transport.MaxSnapshot
)

func (i image) encode() ([]byte, error) {
	s, err := i.State.Encode()
	if err != nil {
		return nil, err
	}
	b := append([]byte(imageMagic), byte(len(i.Cluster)))
	b = append(append(b, i.Cluster...), byte(i.Tier))
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// decodeImage reads an image of the given cluster.
func decodeImage(b []byte, cluster string) (image, error) {
	fail := func(format string, a ...any) (image, error) {
		return image{}, fmt.Errorf("state image: "+format, a...)
	}
	const least = len(imageMagic) + 1 + 1 + 4 + sha256.Size
	if len(b) < least || len(b) > maxImage {
		return fail("%d bytes, want %d to %d", len(b), least, maxImage)
	}
	if string(b[:len(imageMagic)]) != imageMagic {
		return fail("it begins with %x: not one, or of a later version", b[:len(imageMagic)])
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return fail("its hash does not match: it is damaged or incomplete")
	}
	body = body[len(imageMagic):]
	n := int(body[0])
	if len(body) < 1+n+1+4 {
		return fail("it ends early")
	}
	i := image{Cluster: string(body[1 : 1+n]), Tier: int(body[1+n])}
	size, raw := binary.BigEndian.Uint32(body[2+n:]), body[6+n:]
	if i.Cluster != cluster {
		return fail("it is of cluster %q, this is %q", i.Cluster, cluster)
	}
	if int64(size) != int64(len(raw)) || i.Tier >= len(tiers) {
		return fail("%d bytes of state where %d are announced, tier %d", len(raw), size, i.Tier)
	}
	var err error
	if i.State, err = state.Decode(raw); err != nil {
		return fail("%w", err)
	}
	return i, nil
}
