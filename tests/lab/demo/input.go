package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// item is a file on its way through the system.
type item struct {
	key  string
	path string
	size int64
	sum  [32]byte // SHA-256 of what was sent
	etag string   // as the endpoint gave it when it acknowledged
}

// input is what the demo uploads.
type input struct {
	items   []item
	skipped int // neither file nor directory
}

// bytes is the size of all items.
func (in input) bytes() (n int64) {
	for _, it := range in.items {
		n += it.size
	}
	return n
}

// filesPrefix begins the keys of what people name, and of Go's source.
const filesPrefix = "files/"

// maxInput bounds the number of files, all of which are kept in memory as a few hundred bytes each.
const maxInput = 2_000_000

// gather lists a file, or every file of a tree, under keys that begin with prefix. Symbolic links and devices are
// counted and left out: an object is a file.
func gather(root, prefix string) (input, error) {
	var in input
	name := filepath.Base(root)
	root, err := filepath.EvalSymlinks(root) // WalkDir would not follow a root that is a link
	if err != nil {
		return in, fmt.Errorf("INPUT: %w", err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return in, fmt.Errorf("INPUT: %w", err)
	}
	if info.Mode().IsRegular() {
		err := in.add(prefix+name, root, info.Size())
		return in, err
	}
	if !info.IsDir() {
		return in, fmt.Errorf("INPUT: %s is neither a file nor a directory", root)
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			in.skipped++
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return in.add(prefix+filepath.ToSlash(rel), path, info.Size())
	})
	switch {
	case err != nil:
		return in, fmt.Errorf("INPUT: %w", err)
	case len(in.items) == 0:
		return in, fmt.Errorf("INPUT: there is no file in %s", root)
	}
	return in, nil
}

func (in *input) add(key, path string, size int64) error {
	if len(in.items) >= maxInput {
		return fmt.Errorf("more than %d files", maxInput)
	}
	if err := object.CheckKey(key); err != nil {
		return fmt.Errorf("%s cannot be an object's key: %w", path, err)
	}
	in.items = append(in.items, item{key: key, path: path, size: size})
	return nil
}

// goSource is the source tree of the Go that is on this machine, given where the go command says that it is.
func goSource(goroot string) (string, error) {
	goroot = strings.TrimSpace(goroot)
	if goroot == "" {
		return "", errors.New("`go env GOROOT` says nothing; name something to upload with INPUT=PATH")
	}
	return filepath.Join(goroot, "src"), nil
}
