package fabric

import (
	"bytes"
	"testing"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	if err := writeFrame(&b, frameRecord, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if want := "\x03\x00\x00\x00\x03abc"; b.String() != want {
		t.Errorf("frame is %q, want %q", b.String(), want)
	}
	ty, body, err := readFrame(&b, nil)
	if err != nil || ty != frameRecord || string(body) != "abc" {
		t.Errorf("read %d %q %v", ty, body, err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{frameConfirm, 0, 0, 0, 0})
	f.Add([]byte{frameSummary, 0, 0, 0, 2, 0, 0})
	f.Add([]byte{frameRecord, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		ty, body, err := readFrame(bytes.NewReader(in), nil)
		if err != nil {
			return
		}
		if len(body) > maxFrame {
			t.Fatalf("a body of %d octets", len(body))
		}
		var again bytes.Buffer
		if err := writeFrame(&again, ty, body); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(in, again.Bytes()) {
			t.Fatalf("read %x, wrote %x", in, again.Bytes())
		}
	})
}

// A peer that reads nothing costs one record for each origin, however often they change.
func TestOutboxKeepsTheNewestOnly(t *testing.T) {
	o := newOutbox()
	for i := range 1000 {
		o.putRecord(topo.RouterID(i%3+1), linkstate.Signed{Record: []byte{byte(i)}, Sig: make([]byte, 64)})
		o.putSummary([]linkstate.Version{{Origin: 1, Seq: uint64(i)}})
	}
	var got []byte
	for {
		ty, _, ok := o.take()
		if !ok {
			break
		}
		got = append(got, ty)
	}
	if want := []byte{frameSummary, frameRecord, frameRecord, frameRecord}; !bytes.Equal(got, want) {
		t.Errorf("sent frames %v, want %v", got, want)
	}
}
