package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretMode = 0o600
	// maxSecretFile bounds what is read from a file that should hold a few PEM blocks.
	maxSecretFile = 64 << 10
)

// Save writes the key to path with mode 0600. The file is there whole or not at all, also after a
// crash, and a key that was there before is replaced.
func (p Private) Save(path string) error {
	b, err := p.PEM()
	if err != nil {
		return err
	}
	return WriteSecret(path, b)
}

// LoadPrivate reads a key that Save wrote. It refuses a file that others may read.
func LoadPrivate(path string) (Private, error) {
	b, err := ReadSecret(path)
	if err != nil {
		return Private{}, err
	}
	p, err := ParsePrivate(b)
	if err != nil {
		return Private{}, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}

// WriteSecret puts b into a file of mode 0600 by way of a temporary file beside it, synced before it is
// renamed, and syncs the directory. It also serves what a Root or an Authority marshals to.
func WriteSecret(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // CreateTemp opens with mode 0600 and O_EXCL
	if err != nil {
		return fmt.Errorf("write secret %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write secret %s: %w", path, err)
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Chmod(secretMode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadSecret reads a file that WriteSecret wrote. The mode is read from the open file, so that it is that
// of the bytes that are returned.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read secret %s: not a regular file", path)
	}
	if st.Mode().Perm()&^fs.FileMode(secretMode) != 0 {
		return nil, fmt.Errorf("read secret %s: its mode is %04o, so others may have read it: chmod 600 it, and replace the key if they could",
			path, st.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", path, err)
	}
	if len(b) > maxSecretFile {
		return nil, fmt.Errorf("read secret %s: longer than %d bytes, so not one of ours", path, maxSecretFile)
	}
	return b, nil
}

func trimSpace(b []byte) []byte { return bytes.TrimSpace(b) }
