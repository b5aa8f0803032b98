package floorplan

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// file is one Go file of the tree.
type file struct {
	path    string // from the root, with slashes
	room    string
	test    bool
	lines   int
	imports []string
}

// tree is what there is.
type tree struct {
	module   string
	requires []string // modules that go.mod asks for directly
	files    []file
}

// walk reads the tree below a root: every Go file but those in testdata and in hidden directories.
func walk(root string) (*tree, error) {
	t := &tree{}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	t.readMod(string(mod))
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := e.Name()
		if e.IsDir() {
			if name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(name, filepath.ToSlash(rel))
		if err == nil {
			t.files = append(t.files, f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return t, nil
}

func parse(name, rel string) (file, error) {
	f := file{path: rel, room: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go")}
	src, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	f.lines = bytes.Count(src, []byte("\n"))
	syntax, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.ImportsOnly)
	if err != nil {
		return f, err
	}
	for _, i := range syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, p)
	}
	return f, nil
}

// readMod takes from go.mod what it says about names. It knows the two forms in which the go command
// writes requirements.
func (t *tree) readMod(mod string) {
	block := false
	for line := range strings.Lines(mod) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
			block = block && len(words) == 0
		case words[0] == "module":
			t.module = words[1]
		case words[0] == "require" && words[1] == "(":
			block = true
		case strings.Contains(line, "// indirect"):
		case words[0] == "require":
			t.requires = append(t.requires, words[1])
		case block:
			t.requires = append(t.requires, words[0])
		}
	}
}
