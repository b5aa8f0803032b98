package object

import (
	"encoding/json"
	"testing"
)

func TestParseAck(t *testing.T) {
	for in, want := range map[string]Ack{
		"": AckLocal, "local": AckLocal, "zone": {Zone: true}, "regions:1": {Regions: 1}, "regions:64": {Regions: 64}, "regions:+2": {Regions: 2},
	} {
		if got, err := ParseAck(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"Local", "zone ", "regions", "regions:", "regions:0", "regions:-1", "regions:65", "regions:1.5", "regions:x", "all"} {
		if got, err := ParseAck(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
	for _, a := range []Ack{AckLocal, {Zone: true}, {Regions: 3}} {
		b, err := json.Marshal(a)
		var got Ack
		if err != nil || json.Unmarshal(b, &got) != nil || got != a {
			t.Errorf("%+v is written %s and read %+v", a, b, got)
		}
	}
	if (Bucket{}).Ack != AckLocal {
		t.Error("the zero value is not local")
	}
}

func FuzzParseAck(f *testing.F) {
	for _, s := range []string{"", "local", "zone", "regions:2", "regions:007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAck(s)
		if err != nil {
			return
		}
		if b, err := ParseAck(a.String()); err != nil || a != b {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", s, a, a, b, err)
		}
	})
}
