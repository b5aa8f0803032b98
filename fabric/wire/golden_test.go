package wire

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/galleon-net/galleon/fabric/topo"
)

// TestGolden holds the formats to the vectors in testdata/golden, which are as fixed as the version of
// the format: routers of two releases meet on one link. Never rewrite them; add to them.
//
//	header type=N hop=N …        encodes a header; the octets, then what Parse makes of them
//	probe seq=N sent=N …         the same for a probe body
//	hello epoch=N lanes=N …      the same for a hello
//	agree                        two hellos in hex; the answer
//	parse-header, parse-probe, parse-hello      hex; what is refused, and why
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/golden", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "header":
			h := Header{Type: Type(num(d, "type")), HopLimit: uint8(num(d, "hop")), Tagged: d.HasArg("tagged"), Partial: d.HasArg("partial"),
				Class: topo.Class(num(d, "class")), ECN: uint8(num(d, "ecn")), Lane: uint8(num(d, "lane")),
				Segment: topo.SegmentID(num(d, "segment")), Epoch: uint16(num(d, "epoch")),
				Source: topo.RouterID(num(d, "source")), Dest: topo.RouterID(num(d, "dest")), Counter: num(d, "counter")}
			b := h.Append(nil)
			full := append(b, make([]byte, SealLen+TagLen)...)
			return dump(b) + tell(Parse(full))
		case "probe":
			b := AppendProbe(nil, ProbeBody{Path: uint8(num(d, "path")), Seq: uint32(num(d, "seq")), Sent: int64(num(d, "sent")),
				Echo: d.HasArg("echo"), EchoSeq: uint32(num(d, "echo")), EchoSent: int64(num(d, "echo-sent")),
				Held: time.Duration(num(d, "held")) * time.Microsecond, Received: num(d, "received"), Size: int(num(d, "size")),
				Report: Report{Present: d.HasArg("report"), Heard: num(d, "heard"), LossPPM: uint32(num(d, "loss")),
					MTU: uint16(num(d, "mtu")), Lanes: uint16(num(d, "lanes"))}})
			return dump(b) + tellProbe(ParseProbe(b))
		case "hello":
			h := Hello{Answer: d.HasArg("answer"), Epoch: uint16(num(d, "epoch")), Lanes: uint8(num(d, "lanes")),
				MTU: uint16(num(d, "mtu")), Features: num(d, "features")}
			for _, a := range d.CmdArgs {
				if a.Key == "suites" {
					for i, v := range a.Vals {
						fmt.Sscan(v, &h.Suites[i])
					}
				}
			}
			b := AppendHello(nil, h)
			return dump(b) + tell(ParseHello(b))
		case "agree":
			lines := strings.Split(d.Input, "\n")
			offer, err := ParseHello(undump(t, lines[0]))
			if err != nil {
				return err.Error() + "\n"
			}
			mine, err := ParseHello(undump(t, lines[1]))
			if err != nil {
				return err.Error() + "\n"
			}
			return tell(Agree(offer, mine))
		case "parse-header":
			return tell(Parse(undump(t, d.Input)))
		case "parse-probe":
			return tellProbe(ParseProbe(undump(t, d.Input)))
		case "parse-hello":
			return tell(ParseHello(undump(t, d.Input)))
		}
		t.Fatalf("unknown command %q", d.Cmd)
		return ""
	})
}

func num(d *datadriven.TestData, key string) uint64 {
	var n uint64
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			fmt.Sscanf(a.Vals[0], "%v", &n)
		}
	}
	return n
}

func tell[T any](v T, err error) string {
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	// The vectors are older than the bit, which says nothing while it is not set.
	return strings.Replace(fmt.Sprintf("%+v", v), " Partial:false", "", 1) + "\n"
}

// tellProbe leaves out a report that is not there: the vectors are older than reports.
func tellProbe(p ProbeBody, err error) string {
	return strings.Replace(tell(p, err), fmt.Sprintf(" Report:%+v", Report{}), "", 1)
}

// dump writes eight octets to a line, like the box in the package comment reads two words.
func dump(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i += 8 {
		fmt.Fprintf(&s, "%x\n", b[i:min(i+8, len(b))])
	}
	return s.String()
}

func undump(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
