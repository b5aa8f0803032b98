package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A private key must not appear in anything that a careless line of code prints, logs or marshals, neither on its own nor
// inside other values, exported or not.
func TestPrivateDoesNotSlipOut(t *testing.T) {
	key := testKey(t, 1)
	seed := key.must().Seed()
	auth := testAuthority(t)
	holders := map[string]any{
		"value":      key,
		"pointer":    &key,
		"field":      struct{ K Private }{key},
		"unexported": struct{ k Private }{key},
		"slice":      []Private{key},
		"map":        map[string]Private{"a": key},
		"credential": Credential{Key: key},
		"authority":  auth,
		"token":      testToken(),
	}
	token := testToken()
	secrets := [][]byte{seed, key.must(), auth.key.must().Seed(), token.Secret[:]}
	for name, h := range holders {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", h)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "h", h)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "h", h)
		if b, err := json.Marshal(h); err == nil {
			out.Write(b)
		}
		if err := gob.NewEncoder(&out).Encode(h); err == nil && name == "value" {
			t.Errorf("%s: gob encodes it", name)
		}
		for _, s := range secrets {
			for _, form := range forms(s) {
				if bytes.Contains(out.Bytes(), form) {
					t.Errorf("%s: secret slipped out as %.20q…:\n%s", name, form, out.String())
				}
			}
		}
	}
}

// forms lists how the first bytes of a secret look when printed.
func forms(s []byte) [][]byte {
	s = s[:12]
	j, _ := json.Marshal(s)
	return [][]byte{
		s, []byte(hex.EncodeToString(s)), []byte(strings.ToUpper(hex.EncodeToString(s))),
		[]byte(strings.Trim(fmt.Sprint(s), "[]")), bytes.Trim(j, `"`),
		[]byte(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", s), "[]byte{"), "}")),
		[]byte(strings.ReplaceAll(strings.Trim(fmt.Sprint(s), "[]"), " ", ",")),
	}
}

func TestPrivateMarshalsToErrors(t *testing.T) {
	key := testKey(t, 1)
	if _, err := json.Marshal(key); err == nil {
		t.Error("json.Marshal succeeds")
	}
	if _, err := key.MarshalText(); err == nil {
		t.Error("MarshalText succeeds")
	}
	if _, err := key.MarshalBinary(); err == nil {
		t.Error("MarshalBinary succeeds")
	}
	if _, err := json.Marshal(testToken()); err == nil {
		t.Error("json.Marshal of a token succeeds")
	}
}

func TestPrivateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "router.key")
	key := testKey(t, 1)
	for range 2 { // the second time over the first
		if err := key.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", st.Mode(), err)
	}
	got, err := LoadPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Public().Equal(key.Public()) {
		t.Error("another key came back")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files in the directory, want the key alone", len(left))
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPrivate(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that the group may read: %v", err)
	}
	if err := key.Save(filepath.Join(dir, "no", "such", "dir")); err == nil {
		t.Error("saved into a directory that is not there")
	}
	if err := WriteSecret(path, bytes.Repeat([]byte{'x'}, maxSecretFile+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(path); err == nil {
		t.Error("a file of any length is read")
	}
	if _, err := LoadPrivate(dir); err == nil {
		t.Error("a directory is read as a key")
	}
}

func TestParsePrivateRefuses(t *testing.T) {
	good, err := testKey(t, 1).PEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":        nil,
		"not PEM":      []byte("hello"),
		"two keys":     append(bytes.Clone(good), good...),
		"cut":          good[:len(good)/2],
		"certificate":  EncodeChain([][]byte{testAuthority(t).chain[0]}),
		"wrong inside": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
	} {
		if _, err := ParsePrivate(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDeriveIsByKeyAndLabel(t *testing.T) {
	a, b := testKey(t, 1), testKey(t, 2)
	if first, second := a.Derive("x"), a.Derive("x"); first != second {
		t.Error("not the same twice")
	}
	if a.Derive("x") == a.Derive("y") || a.Derive("x") == b.Derive("x") {
		t.Error("the same for another label or key")
	}
}

func TestGenerateUsesItsSource(t *testing.T) {
	if !testKey(t, 7).Public().Equal(testKey(t, 7).Public()) {
		t.Error("the same source gave two keys")
	}
	want := errors.New("dry")
	if _, err := Generate(failing{want}); !errors.Is(err, want) {
		t.Errorf("a failing source: %v", err)
	}
	k, err := Generate(rand.Reader)
	if err != nil || !ed25519.Verify(k.Public(), []byte("m"), k.Sign([]byte("m"))) {
		t.Errorf("signature of a new key does not verify (%v)", err)
	}
	var none Private
	if !none.IsZero() || none.Public() != nil {
		t.Error("the zero value holds a key")
	}
	if _, err := none.PEM(); err == nil {
		t.Error("the zero value encodes")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
