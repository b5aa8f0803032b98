package interop

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClients has every client put a tree into the first region, read it back there, and find the same
// bytes in the second.
func TestClients(t *testing.T) {
	clients := []struct {
		name  string
		needs func() (string, error)
		run   func(t *testing.T, f *fabric, program, tree string)
	}{
		{"aws", func() (string, error) { return exec.LookPath("aws") }, awsCLI},
		{"rclone", func() (string, error) { return exec.LookPath("rclone") }, rclone},
		{"boto3", pythonWithBoto3, boto3},
		{"s3cmd", func() (string, error) { return exec.LookPath("s3cmd") }, s3cmd},
		{"restic", func() (string, error) { return exec.LookPath("restic") }, restic},
		{"aws-sdk-js", nodeWithSDK, sdkForNode},
	}
	found := map[string]string{}
	for _, c := range clients {
		if p, err := c.needs(); err == nil {
			found[c.name] = p
		}
	}
	if len(found) == 0 {
		t.Skip("no client is installed; make test-interop installs them from Debian's packages")
	}
	f := startFabric(t)
	tree := makeTree(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			program, ok := found[c.name]
			if !ok {
				t.Skipf("%s is not installed; make test-interop installs it", c.name)
			}
			c.run(t, f, program, tree)
		})
	}
}

// makeTree writes files of the sizes and names that clients stumble over.
func makeTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.NewChaCha8([32]byte{7})
	for name, size := range map[string]int{
		"empty": 0, "one": 1, "small.txt": 1000, "chunk": 64 << 10, "deep/er/than/most": 5000,
		"with space & plus+": 300, "ünïcode/日本語": 77, "percent%41": 9, "multipart.bin": 20<<20 + 12345,
	} {
		path := filepath.Join(dir, name)
		b := make([]byte, size)
		_, _ = r.Read(b)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sums gives the hash of every file of a tree.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(a, b map[string]string) error {
	for name, sum := range a {
		if b[name] != sum {
			return fmt.Errorf("%q is %.8s, want %.8s", name, b[name], sum)
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d files, want %d", len(b), len(a))
	}
	return nil
}

// roundTrip puts with one function and gets with another, here and there.
func roundTrip(t *testing.T, f *fabric, tree string, put func(r region) error, get func(r region, dir string) error) {
	t.Helper()
	if err := put(f.regions[0]); err != nil {
		t.Fatal(err)
	}
	want := sums(t, tree)
	for i, r := range f.regions {
		f.eventually(t, "the same bytes in "+r.name, func() error {
			dir := t.TempDir()
			if err := get(r, dir); err != nil {
				return err
			}
			err := same(want, sums(t, dir))
			if err != nil && i == 0 {
				t.Fatalf("read back where it was written: %v", err)
			}
			return err
		})
	}
}

func awsCLI(t *testing.T, f *fabric, program, tree string) {
	aws := func(r region, args ...string) error {
		_, err := f.run(r, nil, program, append([]string{"--endpoint-url", r.url}, args...)...)
		return err
	}
	roundTrip(t, f, tree,
		func(r region) error { return aws(r, "s3", "sync", "--no-progress", tree, "s3://"+f.bucket+"/aws/") },
		func(r region, dir string) error {
			return aws(r, "s3", "sync", "--no-progress", "s3://"+f.bucket+"/aws/", dir)
		})
	first := f.regions[0]
	for _, args := range [][]string{
		{"s3", "cp", "--no-progress", "s3://" + f.bucket + "/aws/small.txt", "s3://" + f.bucket + "/aws-copy"},
		{"s3", "mv", "--no-progress", "s3://" + f.bucket + "/aws-copy", "s3://" + f.bucket + "/aws-moved"},
		{"s3api", "head-object", "--bucket", f.bucket, "--key", "aws-moved"},
		{"s3api", "get-object", "--bucket", f.bucket, "--key", "aws-moved", "--range", "bytes=10-19", filepath.Join(t.TempDir(), "part")},
		{"s3", "rm", "s3://" + f.bucket + "/aws-moved"},
	} {
		if err := aws(first, args...); err != nil {
			t.Error(err)
		}
	}
	if err := aws(first, "s3api", "head-object", "--bucket", f.bucket, "--key", "aws-moved"); err == nil {
		t.Error("an object that was removed is still there")
	}
	out, err := f.run(first, nil, program, "--endpoint-url", first.url, "s3", "presign", "s3://"+f.bucket+"/aws/small.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := first.host.Fetch(t.Context(), strings.TrimSpace(out))
	if err != nil || got.Bytes != 1000 {
		t.Errorf("presigned: %+v, %v", got, err)
	}
	// A wrong secret is refused, and says so.
	if out, err := f.run(first, []string{"AWS_SECRET_ACCESS_KEY=wrong"}, program, "--endpoint-url", first.url, "s3", "ls", "s3://"+f.bucket); err == nil || !strings.Contains(out, "SignatureDoesNotMatch") {
		t.Errorf("wrong secret: %v, %s", err, out)
	}
}

func rclone(t *testing.T, f *fabric, program, tree string) {
	env := func(r region) []string {
		return []string{
			"RCLONE_CONFIG_G_TYPE=s3", "RCLONE_CONFIG_G_PROVIDER=Other", "RCLONE_CONFIG_G_ENDPOINT=" + r.url, "RCLONE_CONFIG_G_REGION=" + r.name,
			"RCLONE_CONFIG_G_ACCESS_KEY_ID=" + f.key, "RCLONE_CONFIG_G_SECRET_ACCESS_KEY=" + f.secret, "RCLONE_S3_CHUNK_SIZE=5Mi",
			"RCLONE_S3_UPLOAD_CUTOFF=6Mi", "RCLONE_CONFIG=/dev/null",
		}
	}
	roundTrip(t, f, tree,
		func(r region) error {
			_, err := f.run(r, env(r), program, "copy", tree, "g:"+f.bucket+"/rclone")
			return err
		},
		func(r region, dir string) error {
			_, err := f.run(r, env(r), program, "copy", "g:"+f.bucket+"/rclone", dir)
			return err
		})
	r := f.regions[1]
	if out, err := f.run(r, env(r), program, "check", "--download", tree, "g:"+f.bucket+"/rclone"); err != nil {
		t.Error(err, out)
	}
}

// pythonWithBoto3 finds an interpreter that has the library.
func pythonWithBoto3() (string, error) {
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(p); err == nil && exec.Command(path, "-c", "import boto3").Run() == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func boto3(t *testing.T, f *fabric, program, tree string) {
	script, err := filepath.Abs("testdata/boto3_client.py")
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, f, tree,
		func(r region) error { _, err := f.run(r, nil, program, script, "put", tree); return err },
		func(r region, dir string) error { _, err := f.run(r, nil, program, script, "get", dir); return err })
	if _, err := f.run(f.regions[0], nil, program, script, "more"); err != nil {
		t.Error(err)
	}
}

func s3cmd(t *testing.T, f *fabric, program, tree string) {
	args := func(r region, more ...string) []string {
		host := strings.TrimPrefix(r.url, "http://")
		return append([]string{
			"--config=/dev/null", "--no-ssl", "--host=" + host, "--host-bucket=" + host, "--region=" + r.name,
			"--access_key=" + f.key, "--secret_key=" + f.secret, "--no-progress", "--no-preserve", "--multipart-chunk-size-mb=5",
		}, more...)
	}
	roundTrip(t, f, tree,
		func(r region) error {
			_, err := f.run(r, nil, program, args(r, "sync", tree+"/", "s3://"+f.bucket+"/s3cmd/")...)
			return err
		},
		func(r region, dir string) error {
			_, err := f.run(r, nil, program, args(r, "sync", "s3://"+f.bucket+"/s3cmd/", dir+"/")...)
			return err
		})
}

// restic keeps a repository in the bucket: it writes, lists, reads back and checks every byte that it wrote.
func restic(t *testing.T, f *fabric, program, tree string) {
	repository := func(r region) []string {
		return []string{"RESTIC_REPOSITORY=s3:" + r.url + "/" + f.bucket + "/restic", "RESTIC_PASSWORD=acapulco", "RESTIC_CACHE_DIR=" + t.TempDir()}
	}
	first := f.regions[0]
	if _, err := f.run(first, repository(first), program, "init"); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, f, tree,
		func(r region) error {
			_, err := f.run(r, repository(r), program, "backup", tree)
			return err
		},
		func(r region, dir string) error {
			out := t.TempDir()
			// --no-lock: the second region is a copy, and what is written there stays there.
			if _, err := f.run(r, repository(r), program, "restore", "--no-lock", "latest", "--target", out); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(filepath.Join(out, tree)))
		})
	if out, err := f.run(first, repository(first), program, "check", "--read-data"); err != nil {
		t.Error(err, out)
	}
}

// nodeWithSDK finds Node and the directory in which make test-interop put Amazon's SDK.
func nodeWithSDK() (string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(os.Getenv(sdkDir), "node_modules", "@aws-sdk", "client-s3"))
	return node, err
}

// sdkDir says where the SDK for JavaScript is.
const sdkDir = "GALLEON_NODE_DIR"

func sdkForNode(t *testing.T, f *fabric, program, tree string) {
	script, err := os.ReadFile("testdata/sdk_client.mjs")
	if err != nil {
		t.Fatal(err)
	}
	// Modules are looked for beside the program that asks for them.
	at := filepath.Join(os.Getenv(sdkDir), "client.mjs")
	if err := os.WriteFile(at, script, 0o644); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, f, tree,
		func(r region) error { _, err := f.run(r, nil, program, at, "put", tree); return err },
		func(r region, dir string) error { _, err := f.run(r, nil, program, at, "get", dir); return err })
}
