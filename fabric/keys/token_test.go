package keys

import (
	"encoding/hex"
	"errors"
	"flag"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

var update = flag.Bool("update", false, "write the golden files")

const goldenToken = "testdata/token.golden"

// The text form is what people paste into machines that run another version: it does not change.
func TestTokenGolden(t *testing.T) {
	h := testToken().Hash()
	got := testToken().Encode() + "\n" + hex.EncodeToString(h[:]) + "\n"
	if *update {
		if err := os.WriteFile(goldenToken, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenToken)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("token is now\n%s\nwas\n%s", got, want)
	}
	back, err := ParseToken(strings.Fields(string(want))[0])
	if err != nil || !reflect.DeepEqual(back, testToken()) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tok := drawToken(t)
		got, err := ParseToken(tok.Encode())
		if err != nil || !reflect.DeepEqual(got, tok) {
			t.Fatalf("%s: %v", tok.Encode(), err)
		}
		if got.Hash() != tok.Hash() {
			t.Fatal("its hash changed")
		}
	})
}

func drawToken(t *rapid.T) Token {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "a")))
		}
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a")
		b[0] = 0x20 // not an IPv4 address in IPv6's clothes
		return netip.AddrFrom16([16]byte(b))
	})
	tok := testToken()
	tok.ID = rapid.StringMatching(`[a-z0-9]{1,32}`).Draw(t, "id")
	copy(tok.Secret[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
	tok.Incarnation = rapid.Uint32Min(1).Draw(t, "inc")
	tok.Pool = rapid.StringMatching(`[a-z]{0,40}`).Draw(t, "pool")
	tok.Expires = time.Unix(rapid.Int64Range(1, 1<<40).Draw(t, "expires"), 0).UTC()
	tok.Seeds, tok.Prefixes = nil, nil
	for range rapid.IntRange(1, maxTokenSeeds).Draw(t, "seeds") {
		tok.Seeds = append(tok.Seeds, netip.AddrPortFrom(addr.Draw(t, "seed"), rapid.Uint16Min(1).Draw(t, "port")))
	}
	for range rapid.IntRange(0, maxTokenPrefixes).Draw(t, "prefixes") {
		a := addr.Draw(t, "prefix")
		p, err := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
		if err != nil {
			t.Fatal(err)
		}
		tok.Prefixes = append(tok.Prefixes, topo.SegPrefix{Segment: topo.SegmentID(rapid.Uint16().Draw(t, "segment")), Prefix: p})
	}
	return tok
}

// Whatever happens to a token on its way, the error says which of the three it is.
func TestTokenMishaps(t *testing.T) {
	good := testToken().Encode()
	for n := range len(good) {
		_, err := ParseToken(good[:n])
		if want := ErrTokenTruncated; n > 0 && !errors.Is(err, want) {
			t.Errorf("cut after %d of %d: %v", n, len(good), err)
		}
	}
	for i := len(tokenPrefix); i < len(good); i++ {
		for _, c := range []byte("A_z9") {
			if good[i] == c {
				continue
			}
			b := []byte(good)
			b[i] = c
			// A change of the length looks like a longer or shorter token: either word is true then.
			if _, err := ParseToken(string(b)); !errors.Is(err, ErrTokenAltered) && (i > 8 || !errors.Is(err, ErrTokenTruncated)) {
				t.Errorf("character %d changed: %v", i, err)
			}
		}
	}
	for s, want := range map[string]error{
		"":                        ErrNotToken,
		"hello":                   ErrNotToken,
		"glt2." + good[5:]:        ErrNotToken,
		strings.Repeat("x", 9999): ErrNotToken,
		good + "AAAA":             ErrTokenAltered,
		good + good:               ErrTokenAltered,
		"glt1.!!!!":               ErrTokenAltered,
	} {
		if _, err := ParseToken(s); !errors.Is(err, want) {
			t.Errorf("%.30q: %v, want %v", s, err, want)
		}
	}
	wrapped := " " + good[:40] + "\r\n  " + good[40:90] + "\n" + good[90:] + "\n"
	if _, err := ParseToken(wrapped); err != nil {
		t.Errorf("broken into lines by a terminal: %v", err)
	}
}

func TestTokenTime(t *testing.T) {
	tok := testToken()
	if err := tok.CheckTime(tok.Expires); err != nil {
		t.Error(err)
	}
	err := tok.CheckTime(tok.Expires.Add(time.Minute))
	if !errors.Is(err, ErrTokenExpired) || !strings.Contains(err.Error(), "galleon token create") {
		t.Errorf("%v", err)
	}
}

// Every field is under the hash that the catalog keeps.
func TestTokenHashCoversEveryField(t *testing.T) {
	base := testToken()
	seen := map[[32]byte]string{base.Hash(): "unchanged"}
	for name, change := range map[string]func(*Token){
		"id": func(t *Token) { t.ID = "other" }, "secret": func(t *Token) { t.Secret[3]++ }, "cluster": func(t *Token) { t.Cluster = "atlantic" },
		"incarnation": func(t *Token) { t.Incarnation++ }, "hash": func(t *Token) { t.CAHash[0]++ }, "seeds": func(t *Token) { t.Seeds = t.Seeds[:1] },
		"region": func(t *Token) { t.Region = "mx-quereta" }, "zone": func(t *Token) { t.Zone = "mx-queretaro-b" }, "prefixes": func(t *Token) { t.Prefixes = t.Prefixes[1:] },
		"pool": func(t *Token) { t.Pool = "" }, "expires": func(t *Token) { t.Expires = t.Expires.Add(time.Second) },
	} {
		c := testToken()
		change(&c)
		if was, dup := seen[c.Hash()]; dup {
			t.Errorf("%s: the hash is that of %s", name, was)
		}
		seen[c.Hash()] = name
	}
	if fields := reflect.TypeFor[Token]().NumField(); len(seen) != fields+1 {
		t.Errorf("%d fields, %d tried", fields, len(seen)-1)
	}
}

func TestTokenCheck(t *testing.T) {
	for name, change := range map[string]func(*Token){
		"no id": func(t *Token) { t.ID = "" }, "cluster": func(t *Token) { t.Cluster = "A B" }, "incarnation": func(t *Token) { t.Incarnation = 0 },
		"no seeds": func(t *Token) { t.Seeds = nil }, "no port": func(t *Token) { t.Seeds[0] = netip.AddrPortFrom(t.Seeds[0].Addr(), 0) },
		"many seeds": func(t *Token) { t.Seeds = make([]netip.AddrPort, maxTokenSeeds+1) }, "zone": func(t *Token) { t.Zone = "ap-tokyo-a" },
		"region": func(t *Token) { t.Region = "" }, "host bits": func(t *Token) { t.Prefixes[0].Prefix = netip.MustParsePrefix("10.0.0.1/8") },
		"many prefixes": func(t *Token) { t.Prefixes = make([]topo.SegPrefix, maxTokenPrefixes+1) }, "pool": func(t *Token) { t.Pool = strings.Repeat("x", 41) },
		"no end": func(t *Token) { t.Expires = time.Time{} }, "mapped": func(t *Token) { t.Seeds[0] = netip.MustParseAddrPort("[::ffff:10.0.0.1]:1") },
	} {
		tok := testToken()
		change(&tok)
		if tok.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	id, secret, err := NewTokenID(source(1))
	if err != nil || len(id) != 10 || secret == ([32]byte{}) {
		t.Errorf("%q, %v", id, err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(testToken().Encode())
	f.Add("glt1.")
	f.Add("glt1.AAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			return
		}
		if got := tok.Encode(); got != strings.Join(strings.Fields(s), "") {
			t.Errorf("%q is read as %q", s, got)
		}
	})
}

// The payload behind the checksum, which a fuzzer cannot forge.
func FuzzParseTokenPayload(f *testing.F) {
	f.Add(testToken().payload())
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := parseTokenPayload(b)
		if err == nil && string(tok.payload()) != string(b) {
			t.Errorf("%x is read as %x", b, tok.payload())
		}
	})
}
