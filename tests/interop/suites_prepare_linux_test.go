package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// suitesWanted says that the suites shall run, suitesDir where their programs are.
	suitesWanted = "GALLEON_INTEROP"
	suitesDir    = "GALLEON_INTEROP_DIR"

	versitygw   = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	minioModule = "github.com/minio/minio-go/v7"
	// mintNames lists the tests of minio-go's suite.
	mintNames = "mint.txt"
)

// prepareSuites builds the suites' programs from the module proxy, before the lab is entered: there is no way out of
// it.
func prepareSuites() error {
	if os.Getenv(suitesWanted) == "" || os.Getenv(suitesDir) != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "galleon-interop-")
	if err != nil {
		return err
	}
	if err := errors.Join(goTool(dir, "install", versitygw), prepareMint(dir)); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return os.Setenv(suitesDir, dir)
}

// goTool runs the go command; what it installs goes to dir.
func goTool(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

var testCall = regexp.MustCompile(`(?m)^\t+(test\w+)\(\)$`)

// prepareMint builds minio-go's functional tests. They end at the first failure, so their main is made to run the one
// test that it is told to.
func prepareMint(dir string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", minioModule).Output()
	if err != nil {
		return fmt.Errorf("find %s: %w", minioModule, err)
	}
	src := filepath.Join(dir, "minio-go")
	if err := os.CopyFS(src, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return err
	}
	whole := filepath.Join(src, "functional_tests.go")
	text, err := os.ReadFile(whole)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range testCall.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	program := testCall.ReplaceAll(text, []byte("if os.Args[1] == \"$1\" { $1() }"))
	err = errors.Join(
		os.Remove(whole), os.Mkdir(filepath.Join(src, "functional"), 0o755),
		os.WriteFile(filepath.Join(src, "functional", "main.go"), program, 0o644),
		os.WriteFile(filepath.Join(dir, mintNames), []byte(strings.Join(names, "\n")), 0o644))
	if err != nil {
		return err
	}
	return goTool(dir, "-C", src, "build", "-mod=mod", "-tags", "mint", "-o", filepath.Join(dir, "mint"), "./functional")
}
