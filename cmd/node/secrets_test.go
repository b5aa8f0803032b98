package node

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

func testVault(t *testing.T) *vault {
	t.Helper()
	v, err := newVault(makeVaultKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault(t *testing.T) {
	v := testVault(t)
	sealed, err := v.seal("a", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the secret is in what was sealed")
	}
	again, _ := v.seal("a", []byte("secret"))
	if bytes.Equal(sealed, again) {
		t.Error("the same secret is sealed the same way twice")
	}
	if b, err := v.open("a", sealed); err != nil || string(b) != "secret" {
		t.Errorf("open: %q, %v", b, err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := v.open("a", bad); err == nil {
			t.Errorf("opened with byte %d altered", i)
		}
	}
	if _, err := v.open("b", sealed); err == nil {
		t.Error("opened under another name")
	}
	if _, err := testVault(t).open("a", sealed); err == nil {
		t.Error("opened with another key")
	}
	if _, err := v.open("a", nil); err == nil {
		t.Error("opened nothing")
	}
	var none *vault
	if _, err := none.seal("a", nil); err != errNoVault {
		t.Errorf("seal without a vault: %v", err)
	}
	if _, err := none.open("a", sealed); err != errNoVault {
		t.Errorf("open without a vault: %v", err)
	}
	if _, err := newVault(make([]byte, 16)); err == nil {
		t.Error("a short key was taken")
	}
	path := filepath.Join(t.TempDir(), vaultFile)
	if v, err := loadVault(path); v != nil || err != nil {
		t.Errorf("load what is not there: %v, %v", v, err)
	}
	if err := keys.WriteSecret(path, v.key); err != nil {
		t.Fatal(err)
	}
	if w, err := loadVault(path); err != nil || !bytes.Equal(w.key, v.key) {
		t.Errorf("load: %v", err)
	}
}

func testIdentity(t *testing.T) *identity {
	t.Helper()
	now := time.Now()
	c := keystest.New("g5a1c", now)
	id := &identity{Cluster: "g5a1c", Incarnation: 1, Router: 7, Name: "test-7-1", Region: "test", Zone: "test-7"}
	copy(id.TenantKey[:], makeVaultKey())
	id.credential = c.Join(7, now, time.Hour)
	return id
}

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	if id, err := loadIdentity(dir); id != nil || err != nil {
		t.Fatalf("before: %v, %v", id, err)
	}
	id := testIdentity(t)
	if err := id.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.keysIdentity() != id.keysIdentity() || got.Name != id.Name || got.TenantKey != id.TenantKey || got.credential.Grace != certGrace {
		t.Errorf("read back %+v, wrote %+v", got, id)
	}
	if err := got.credential.Check(time.Now()); err != nil {
		t.Error(err)
	}
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if st, _ := e.Info(); st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), st.Mode())
		}
	}
	if len(list) != 3 {
		t.Errorf("files %v, want three", list)
	}
}

// TestIdentityIsWholeOrNotThere stops a save at each file in turn.
func TestIdentityIsWholeOrNotThere(t *testing.T) {
	id := testIdentity(t)
	for _, name := range []string{keyFile, chainFile, selfFile} {
		dir := t.TempDir()
		// A directory in the place of the file fails the rename, as a full disk would.
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := id.save(dir); err == nil {
			t.Errorf("%s: the save did not fail", name)
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if got, err := loadIdentity(dir); got != nil || err != nil {
			t.Errorf("%s: there is an identity: %v, %v", name, got, err)
		}
	}
}

func TestIdentityThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"a newer format", func(dir string) error {
			return keys.WriteSecret(filepath.Join(dir, selfFile), []byte(`{"format":9}`))
		}, "format 9"},
		{"cut short", func(dir string) error {
			return keys.WriteSecret(filepath.Join(dir, selfFile), []byte(`{"form`))
		}, "read identity"},
		{"no key", func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) }, keyFile},
		{"no certificate", func(dir string) error { return os.Remove(filepath.Join(dir, chainFile)) }, "read certificate"},
		{"a key for all to read", func(dir string) error { return os.Chmod(filepath.Join(dir, keyFile), 0o644) }, "chmod 600"},
	} {
		dir := t.TempDir()
		if err := testIdentity(t).save(dir); err != nil {
			t.Fatal(err)
		}
		if err := c.damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := loadIdentity(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestJoinKeyIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	a, err := joinKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := joinKey(dir)
	if err != nil || !a.Public().Equal(b.Public()) {
		t.Errorf("another key at the second attempt: %v", err)
	}
}

// testState is a catalog with a router in ap-tokyo and two access keys.
func testState(t *testing.T, v *vault) *state.State {
	t.Helper()
	s := state.New()
	s.Cluster.ID = "g5a1c"
	s.Routers = map[RouterID]state.Router{3: {ID: 3, Name: "ap-tokyo-a-1", Region: "ap-tokyo", Zone: "ap-tokyo-a"}}
	s.Keys, s.Sealed = map[string]state.AccessKey{}, map[string][]byte{}
	for _, id := range []string{"GALA", "GALB"} {
		sealed, err := v.seal(state.SealedKey(id), []byte("secret of "+id))
		if err != nil {
			t.Fatal(err)
		}
		s.Keys[id], s.Sealed[state.SealedKey(id)] = state.AccessKey{ID: id}, sealed
	}
	return s
}

func TestDerive(t *testing.T) {
	v := testVault(t)
	s := testState(t, v)
	day := time.Date(2026, 12, 28, 0, 0, 0, 0, time.UTC)
	got, err := derive(s, v, "ap-tokyo", day)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got["GALA"]) != 2*signingDays {
		t.Fatalf("%d keys, %d days", len(got), len(got["GALA"]))
	}
	for _, at := range []struct{ day, region string }{{"20261228", "ap-tokyo"}, {"20270104", "ap-tokyo"}, {"20261231", clientRegion}} {
		if want := sigv4.Key("secret of GALA", at.day, at.region); !bytes.Equal(got["GALA"][at.day+"/"+at.region], want) {
			t.Errorf("the key for %s in %s is another", at.day, at.region)
		}
	}
	if got["GALA"]["20261228/eu-frankfurt"] != nil {
		t.Error("there is a key for another region")
	}

	s.Sealed[state.SealedKey("GALA")][0] ^= 1
	got, err = derive(s, v, "ap-tokyo", day)
	if err == nil || got["GALA"] != nil || got["GALB"] == nil {
		t.Errorf("with one secret damaged: %d keys, %v; want the other and an error", len(got), err)
	}
}

func TestSigningKeysOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), signingFile)
	k, err := openSigningKeys(path, "ap-tokyo")
	if err != nil || k.get("GALA", "20261228", "ap-tokyo") != nil {
		t.Fatalf("at first: %v", err)
	}
	b, _ := json.Marshal(map[string]map[string][]byte{"GALA": {"20261228/ap-tokyo": []byte("k")}})
	if err := keys.WriteSecret(path, b); err != nil {
		t.Fatal(err)
	}
	if k, err = openSigningKeys(path, "ap-tokyo"); err != nil || string(k.get("GALA", "20261228", "ap-tokyo")) != "k" {
		t.Errorf("read back: %v", err)
	}
	if k.get("GALA", "20261228", "cn-hangzhou") != nil || k.get("GALB", "20261228", "ap-tokyo") != nil {
		t.Error("a key for somebody else")
	}
	if err := keys.WriteSecret(path, b[:len(b)-2]); err != nil {
		t.Fatal(err)
	}
	if _, err = openSigningKeys(path, "ap-tokyo"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("cut short: %v", err)
	}
}
