package replication

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

var update = flag.Bool("update", false, "write testdata anew")

// pipe is a stream that keeps what is written.
type pipe struct{ bytes.Buffer }

func encodeFrame(t testing.TB, kind frameKind, body []byte) []byte {
	t.Helper()
	var p pipe
	f, err := newFramer(&p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.write(kind, body); err != nil {
		t.Fatal(err)
	}
	return p.Bytes()
}

func decodeFrame(t testing.TB, b []byte) (frameKind, []byte, error) {
	t.Helper()
	f, err := newFramer(&pipe{*bytes.NewBuffer(b)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	return f.read()
}

// sample is one message of every kind.
func sample(t testing.TB) map[string][]byte {
	id := object.VersionID{Time: object.MakeHLC(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), 3), Origin: 7}
	cur := cursor{Store: "00112233445566778899aabbccddeeff", Incarnation: 1, Tail: true, Seq: 42}
	walking := cursor{Store: cur.Store, Bucket: "models", Key: "llama/1", Within: id, Seq: 9, Until: 41}
	v := object.Version{
		Bucket: "models", Key: "llama/1", ID: id, Region: "cn-hangzhou", Modified: id.Time.Wall(), Size: 5, ETag: "abc", ContentType: "a\xff/b",
		Meta:   map[string]string{"k": "v", "latin": "caf\xe9"},
		Chunks: []object.ChunkRef{{ID: object.ChunkID{1, 2}, Size: 2}, {ID: object.ChunkID{3}, Size: 3}},
	}
	b, err := encodeBatch(&batch{
		replicas: []store.Replica{{Version: v, CatalogIndex: 12}, {Purged: true, Version: object.Version{Bucket: "models", Key: "old", ID: id}}},
		gone:     []ref{{"models", "gone", id}}, cursor: cur,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := ref{"models", "x", id}.mark()
	chunks := append(binary.BigEndian.AppendUint32(nil, 3), "abc"...)
	chunks = binary.BigEndian.AppendUint32(chunks, unavailable)
	return map[string][]byte{
		"1 hello":   encodeFrame(t, frameHello, encode(helloBody{Protocol: protocol, Rule: "p", Hash: "00ff", Cursor: walking, Aside: []mark{m}, AsideMore: true})),
		"2 welcome": encodeFrame(t, frameWelcome, encode(welcomeBody{cur})),
		"3 refuse":  encodeFrame(t, frameRefuse, encode(refuseBody{"not today"})),
		"4 batch":   encodeFrame(t, frameBatch, b),
		"5 want":    encodeFrame(t, frameWant, packIDs([]object.ChunkID{{1}, {2}})),
		"6 chunks":  encodeFrame(t, frameChunks, chunks),
		"7 ack":     encodeFrame(t, frameAck, encode(ackBody{cur, []mark{m}})),
		"8 ping":    encodeFrame(t, framePing, []byte("{}")),
		"9 again":   encodeFrame(t, frameAgain, encode(againBody{[]ref{{"models", "x", id}}})),
	}
}

// TestGolden holds the wire format of protocol 1 to what was written down. A difference is a new protocol. What is
// compressed is compared unpacked: compressors may do better.
func TestGolden(t *testing.T) {
	const path = "testdata/frames_v1.txt"
	got := sample(t)
	if *update {
		var out strings.Builder
		for n := 1; n <= len(got); n++ {
			for name, b := range got {
				if name[0] == byte('0'+n) {
					fmt.Fprintf(&out, "%s\n%s\n", name, hex.EncodeToString(b))
				}
			}
		}
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2*len(got) {
		t.Fatalf("%d lines for %d frames", len(lines), len(got))
	}
	for i := 0; i < len(lines); i += 2 {
		name := lines[i]
		want, err := hex.DecodeString(lines[i+1])
		if err != nil {
			t.Fatal(err)
		}
		wk, wb, werr := decodeFrame(t, want)
		gk, gb, gerr := decodeFrame(t, got[name])
		if werr != nil || gerr != nil || wk != gk || !bytes.Equal(wb, gb) {
			t.Errorf("%s: written down %d %q (%v), now %d %q (%v)", name, wk, wb, werr, gk, gb, gerr)
		}
	}
}

func TestBatchRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }))
	table := rapid.MapOfN(rapid.StringMatching(`[a-z/]{0,4}`), text, 0, 3)
	version := rapid.Custom(func(t *rapid.T) store.Replica {
		v := object.Version{
			Bucket: "b", Key: rapid.StringN(1, 20, 100).Draw(t, "key"), ContentType: text.Draw(t, "type"),
			ID:   object.VersionID{Time: object.HLC(rapid.Uint64().Draw(t, "time")), Origin: 3},
			Meta: table.Draw(t, "meta"), Headers: table.Draw(t, "headers"), Region: "a",
		}
		for range rapid.IntRange(0, 5).Draw(t, "chunks") {
			v.Chunks = append(v.Chunks, object.ChunkRef{ID: object.ChunkID{rapid.Byte().Draw(t, "id")}, Size: rapid.Uint32().Draw(t, "size")})
		}
		// No entries and no map are one thing to everybody.
		if len(v.Meta) == 0 {
			v.Meta = nil
		}
		if len(v.Headers) == 0 {
			v.Headers = nil
		}
		return store.Replica{Version: v, CatalogIndex: rapid.Uint64().Draw(t, "index")}
	})
	rapid.Check(t, func(t *rapid.T) {
		in := &batch{replicas: rapid.SliceOfN(version, 0, 5).Draw(t, "replicas"), cursor: cursor{Seq: 3}}
		before := fmt.Sprintf("%v", in.replicas)
		b, err := encodeBatch(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := decodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(in.replicas) == 0 {
			in.replicas = nil
		}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("sent %+v\ncame %+v", in, out)
		}
		if after := fmt.Sprintf("%v", in.replicas); after != before {
			t.Fatalf("encoding changed what it encoded: %s\n%s", before, after)
		}
	})
}

// TestFrameBounds: what is too large is refused before it is read, unpacked or sent.
func TestFrameBounds(t *testing.T) {
	head := func(kind frameKind, enc byte, n uint32, body ...byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{byte(kind), enc}, n), body...)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	bomb := enc.EncodeAll(make([]byte, maxControl+1), nil)
	two := enc.EncodeAll(make([]byte, 1000), enc.EncodeAll(make([]byte, 1000), nil))
	liar := bytes.Clone(enc.EncodeAll(random(1, 300), nil))
	for name, b := range map[string][]byte{
		"unknown kind":        head(77, 0, 1, 0),
		"unknown encoding":    head(framePing, 9, 1, 0),
		"long ack":            head(frameAck, 0, maxControl+1),
		"long want":           head(frameWant, 0, 32*wantPart+1),
		"long chunks":         head(frameChunks, 0, maxChunks+1),
		"long batch":          head(frameBatch, 0, maxBatch+1),
		"cut short":           head(framePing, 0, 5, 1, 2),
		"not zstd":            head(framePing, 1, 4, 1, 2, 3, 4),
		"unpacks to too much": head(frameAck, 1, uint32(len(bomb)), bomb...),
		"two frames":          head(frameAck, 1, uint32(len(two)), two...),
		"cut zstd":            head(frameAck, 1, uint32(len(liar)-9), liar[:len(liar)-9]...),
		"states too much":     head(frameBatch, 1, 9, 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 7),
	} {
		if k, body, err := decodeFrame(t, b); err == nil {
			t.Errorf("%s: read as kind %d with %d bytes", name, k, len(body))
		}
	}
	f, err := newFramer(&pipe{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.write(frameAck, make([]byte, maxControl+1)); err == nil {
		t.Error("a frame was sent that nobody would take")
	}
}

// TestLargestManifest: an object of 2 Mi chunks, the most that a store holds, goes through.
func TestLargestManifest(t *testing.T) {
	v := object.Version{Bucket: "b", Key: "k", Chunks: make([]object.ChunkRef, 2<<20)}
	for i := range v.Chunks {
		binary.BigEndian.PutUint64(v.Chunks[i].ID[:], uint64(i)*0x9e3779b97f4a7c15)
		v.Chunks[i].Size = uint32(i)
	}
	b, err := encodeBatch(&batch{replicas: []store.Replica{{Version: v}}})
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := decodeFrame(t, encodeFrame(t, frameBatch, b))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeBatch(body)
	if err != nil || len(got.replicas) != 1 || got.replicas[0].Version.Chunks[2<<20-1] != v.Chunks[2<<20-1] {
		t.Errorf("came as %d versions, %v", len(got.replicas), err)
	}
}

func FuzzFrame(f *testing.F) {
	for _, b := range sample(f) {
		f.Add(b)
	}
	var p pipe
	fr, err := newFramer(&p)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr.r.Reset(bytes.NewReader(b))
		kind, body, err := fr.read()
		if err != nil {
			return
		}
		if len(body) > kind.limit() {
			t.Fatalf("kind %d unpacked to %d bytes", kind, len(body))
		}
		// What was read can be sent again, and reads the same.
		p.Reset()
		if err := fr.write(kind, body); err != nil {
			t.Fatal(err)
		}
		fr.r.Reset(&p)
		k, again, err := fr.read()
		if err != nil || k != kind || !bytes.Equal(again, body) {
			t.Fatalf("kind %d body %q, then %d %q %v", kind, body, k, again, err)
		}
	})
}

func FuzzBatch(f *testing.F) {
	_, body, err := decodeFrame(f, sample(f)["4 batch"])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0, 0, 0, 33, '{', '"'})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeBatch(b)
		if err != nil {
			return
		}
		again, err := encodeBatch(got)
		if err != nil {
			return // a time that JSON reads and does not write
		}
		out, err := decodeBatch(again)
		if err != nil || len(out.replicas) != len(got.replicas) || out.cursor != got.cursor {
			t.Fatalf("%+v, then %+v, %v", got, out, err)
		}
	})
}

func TestJustBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.StringN(1, 10, 30).Filter(func(s string) bool { return object.CheckKey(s) == nil })
		key, other := keys.Draw(t, "key"), keys.Draw(t, "other")
		b := justBefore(key)
		if b >= key || b < other && other < key {
			t.Fatalf("%q lies between %q and %q", other, b, key)
		}
	})
}
