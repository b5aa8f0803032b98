package main

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
)

func testToken(t *testing.T) keys.Token {
	t.Helper()
	id, secret, err := keys.NewTokenID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keys.Token{
		ID: id, Secret: secret, Cluster: "pacific", Incarnation: 1, Region: "ap-tokyo", Zone: "ap-tokyo-a",
		Seeds: []netip.AddrPort{netip.MustParseAddrPort("198.18.1.1:4701")}, Expires: time.Now().Add(time.Hour).Truncate(time.Second),
	}
}

func TestMisspelledTokenIsToldApart(t *testing.T) {
	good := testToken(t).Encode()
	if _, err := keys.ParseToken(misspell(good)); !errors.Is(err, keys.ErrTokenAltered) {
		t.Errorf("%v, want %v", err, keys.ErrTokenAltered)
	}
}

// TestForgedTokenIsWellFormed: what the cluster is then asked to refuse is refused for what it says, not for its form.
func TestForgedTokenIsWellFormed(t *testing.T) {
	made := testToken(t)
	text, err := forge(made.Encode(), "eu-frankfurt", "eu-frankfurt-a")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := keys.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	if forged.Region != "eu-frankfurt" || forged.ID != made.ID || forged.Secret != made.Secret || forged.Hash() == made.Hash() {
		t.Errorf("forged %+v of %+v", forged, made)
	}
	if _, err := forge("hello", "a", "b"); err == nil {
		t.Error("a forgery of nothing")
	}
}

func TestRedact(t *testing.T) {
	good := testToken(t).Encode()
	if got := strings.Join(redact([]string{"join", good}), " "); len(got) > 24 || !strings.HasPrefix(got, "join glt1.") {
		t.Errorf("%q", got)
	}
}
