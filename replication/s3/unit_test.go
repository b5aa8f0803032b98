package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"net"
	"testing"
	"time"

	"github.com/minio/crc64nvme"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		header          string
		size            int64
		off, n          int64
		ok, satisfiable bool
	}{
		{"bytes=0-9", 100, 0, 10, true, true},
		{"bytes=90-200", 100, 90, 10, true, true},
		{"bytes=90-", 100, 90, 10, true, true},
		{"bytes=-10", 100, 90, 10, true, true},
		{"bytes=-1000", 100, 0, 100, true, true},
		{"bytes=-0", 100, 100, 0, true, false},
		{"bytes=100-", 100, 0, 0, true, false},
		{"bytes=0-0", 0, 0, 0, true, false},
		{"bytes=-5", 0, 0, 0, false, true},
		{"bytes=99999999999999999999-", 100, 0, 0, true, false},
		{"bytes=0-99999999999999999999", 100, 0, 100, true, true},
		{"bytes=5-4", 100, 0, 0, false, true},
		{"bytes=0-1,3-4", 100, 0, 0, false, true},
		{"bytes=a-b", 100, 0, 0, false, true},
		{"bytes= -1", 100, 0, 0, false, true},
		{"bytes=-", 100, 0, 0, false, true},
		{"lines=0-9", 100, 0, 0, false, true},
	} {
		r, ok, satisfiable := parseRange(c.header, c.size)
		if ok != c.ok || satisfiable != c.satisfiable || ok && satisfiable && (r.off != c.off || r.n != c.n) {
			t.Errorf("%s of %d: %+v %v %v", c.header, c.size, r, ok, satisfiable)
		}
	}
}

// FuzzRange: whatever the header, what is to be sent lies inside the object.
func FuzzRange(f *testing.F) {
	f.Add("bytes=0-9", int64(100))
	f.Add("bytes=-9", int64(0))
	f.Add("bytes=9223372036854775807-9223372036854775808", int64(1)<<59)
	f.Fuzz(func(t *testing.T, h string, size int64) {
		if size < 0 || size > maxOffset {
			return
		}
		r, ok, satisfiable := parseRange(h, size)
		if ok && satisfiable && (r.off < 0 || r.n <= 0 || r.off+r.n > size) {
			t.Fatalf("%q of %d bytes gives %+v", h, size, r)
		}
	})
}

// TestJoinCRC: the CRC joined from the pieces' is the one of the whole.
func TestJoinCRC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 6).Draw(t, "parts")
		whole := bytes.Join(parts, nil)
		castagnoli := crc32.MakeTable(crc32.Castagnoli)
		var ieee, casta, nvme uint64
		for _, p := range parts {
			n := int64(len(p))
			ieee = joinCRC(crc32.IEEE, 32, ieee, uint64(crc32.ChecksumIEEE(p)), n)
			casta = joinCRC(crc32.Castagnoli, 32, casta, uint64(crc32.Checksum(p, castagnoli)), n)
			nvme = joinCRC(nvmePoly, 64, nvme, crc64nvme.Checksum(p), n)
		}
		if ieee != uint64(crc32.ChecksumIEEE(whole)) || casta != uint64(crc32.Checksum(whole, castagnoli)) || nvme != crc64nvme.Checksum(whole) {
			t.Fatalf("%x %x %x of %d bytes in %d parts", ieee, casta, nvme, len(whole), len(parts))
		}
	})
}

func TestChecksumsOfHello(t *testing.T) {
	// Known answers: RFC 3720's CRC32C and zlib's CRC-32 of "123456789", CRC-64/NVME's check value.
	for name, want := range map[string]string{"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"} {
		a := findAlgorithm(name)
		h := a.new()
		h.Write([]byte("123456789"))
		if got := bigEndian(h.Sum(nil)); got != parseHex(want) {
			t.Errorf("%s: %x, want %s", name, got, want)
		}
		if v := base64.StdEncoding.EncodeToString(h.Sum(nil)); !a.wellFormed(v) || a.wellFormed(v[1:]) {
			t.Errorf("%s: wellFormed does not know %s", name, v)
		}
	}
}

func parseHex(s string) (v uint64) {
	for _, c := range s {
		d := uint64(c - '0')
		if c >= 'a' {
			d = uint64(c-'a') + 10
		}
		v = v<<4 | d
	}
	return v
}

func TestVersionIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := object.VersionID{Time: object.HLC(rapid.Uint64Min(1).Draw(t, "time")), Origin: topo.RouterID(rapid.Uint32().Draw(t, "origin"))}
		if back, err := ParseVersionID(FormatVersionID(id)); err != nil || back != id {
			t.Fatalf("%v came back as %v, %v", id, back, err)
		}
	})
	for _, s := range []string{"x", "00", FormatVersionID(object.VersionID{}) + "_0"} {
		if _, err := ParseVersionID(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	if id, err := ParseVersionID("01BX5ZZKBKACTAV9WEVGEMMVRZ"); err != nil || id != noVersion {
		t.Errorf("another store's id is %v, %v; want one that no version has", id, err)
	}
}

type countingKeys struct {
	asked int
	err   error
}

func (k *countingKeys) SigningKey(_ context.Context, accessKey, date, region string) ([]byte, error) {
	k.asked++
	return []byte(accessKey + date + region), k.err
}

func TestCacheKeys(t *testing.T) {
	now := time.Unix(1e9, 0)
	src := &countingKeys{}
	c := CacheKeys(src, time.Minute, func() time.Time { return now })
	ask := func(key string, wantAsked int, wantErr error) {
		t.Helper()
		b, err := c.SigningKey(context.Background(), key, "20261124", "r")
		if !errors.Is(err, wantErr) || src.asked != wantAsked || err == nil && string(b) != key+"20261124r" {
			t.Fatalf("%q, %v after %d questions, want %v after %d", b, err, src.asked, wantErr, wantAsked)
		}
	}
	ask("a", 1, nil)
	ask("a", 1, nil)
	ask("b", 2, nil)
	now = now.Add(61 * time.Second)
	src.err = errors.New("no quorum")
	ask("a", 3, src.err)
	ask("a", 4, src.err)
	src.err = ErrNoSuchAccessKey
	ask("a", 5, ErrNoSuchAccessKey)
	ask("a", 5, ErrNoSuchAccessKey)
	now = now.Add(unknownFor + 1)
	src.err = nil
	ask("a", 6, nil)
	for i := range 2 * maxCachedKeys {
		_, _ = c.SigningKey(context.Background(), string(rune('a'+i%26))+time.Duration(i).String(), "d", "r")
	}
	if n := len(c.(*keyCache).m); n > maxCachedKeys {
		t.Errorf("the cache has %d entries", n)
	}
}

func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := LimitListener(inner, 10, 2)
	accepted := make(chan net.Conn, 8)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second, third := dial(), dial(), dial()
	defer first.Close()
	defer second.Close()
	defer third.Close()
	a := <-accepted
	<-accepted
	third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the third connection from one address: %v, want it closed", err)
	}
	a.Close()
	a.Close() // counts once
	fourth := dial()
	defer fourth.Close()
	if c := <-accepted; c == nil {
		t.Fatal("no room after a connection ended")
	}
	l.Close()
	for range accepted {
	}
}
