package seal

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// TestSipHash holds the hash to the reference vectors: key 00..0f, message 00, 01, 02, ... The last is
// the example of the paper's appendix A.
func TestSipHash(t *testing.T) {
	const k0, k1 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	want := []string{
		"310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785",
		"b7877127e09427cf", "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
		"6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
		"fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
	}
	var m []byte
	for i, w := range want {
		if got := hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, sipHash(k0, k1, m))); got != w {
			t.Errorf("%d octets: %s, want %s", i, got, w)
		}
		m = append(m, byte(i))
	}
}

func TestLinkTagIsForOneHop(t *testing.T) {
	s, _ := pairOfEnds(t, AES128GCM)
	sealed, err := s.Seal(nil, dataHeader, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	out, _ := NewTagger(testSecret, alice, relay)
	back, _ := NewTagger(testSecret, relay, alice)
	other, _ := NewTagger(Secret{8}, alice, relay)
	tagged := out.AppendTag(append([]byte(nil), sealed...))
	for name, k := range map[string]*Tagger{"the way back": back, "another secret": other} {
		if _, ok := k.CheckTag(tagged); ok {
			t.Errorf("the tag passes for %s", name)
		}
	}
	if _, ok := out.CheckTag(sealed); ok {
		t.Error("a packet without tag passes")
	}
	rest, ok := out.CheckTag(tagged)
	if !ok || string(rest) != string(sealed) {
		t.Errorf("took off the tag: %x, %v; want %x", rest, ok, sealed)
	}
	// The same packet with octets cut out of the middle has the same header and end.
	cut, err := s.Seal(nil, dataHeader, make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	tagged = out.AppendTag(cut)
	short := append(append([]byte(nil), tagged[:40]...), tagged[60:]...)
	if _, ok := out.CheckTag(short); ok {
		t.Error("a shortened packet passes")
	}
}
