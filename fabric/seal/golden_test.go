package seal

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// TestGolden holds the key schedule and the sealed bytes to testdata/golden. Never rewrite the vectors;
// add to them.
//
//	context a=N b=N epoch=N                           what the exporter is given
//	keys suite=N from=N to=N epoch=N lane=N           the derived key, IV and link tag key
//	seal suite=N from=N to=N epoch=N lane=N nth=N     a data packet with the input as its payload
//	tag from=N to=N                                   the link tag of the packet last sealed
//
// The secret is the octets 0 to 31.
func TestGolden(t *testing.T) {
	var secret Secret
	for i := range secret {
		secret[i] = byte(i)
	}
	var last []byte
	datadriven.RunTest(t, "testdata/golden", func(t *testing.T, d *datadriven.TestData) string {
		suite := Suite(arg(d, "suite"))
		from, to := topo.RouterID(arg(d, "from")), topo.RouterID(arg(d, "to"))
		epoch, lane := uint16(arg(d, "epoch")), uint8(arg(d, "lane"))
		switch d.Cmd {
		case "context":
			return hex.EncodeToString(Context(topo.PairOf(topo.RouterID(arg(d, "a")), topo.RouterID(arg(d, "b"))), epoch)) + "\n"
		case "keys":
			k, err := derive(secret, suite, from, to, epoch, lane)
			if err != nil {
				return err.Error() + "\n"
			}
			tag, err := expand(secret, labelTag, routers(from, to), 16)
			if err != nil {
				return err.Error() + "\n"
			}
			return fmt.Sprintf("key %x\niv  %x\ntag %x\n", k.key, k.iv, tag)
		case "seal":
			s, err := NewSender(secret, suite, from, to, epoch, lane)
			if err != nil {
				return err.Error() + "\n"
			}
			s.next = uint64(arg(d, "nth"))
			h := wire.Header{Type: wire.Data, HopLimit: 8, Class: topo.ClassBulk, ECN: 1, Segment: 5}
			if last, err = s.Seal(nil, h, []byte(d.Input)); err != nil {
				return err.Error() + "\n"
			}
			return fmt.Sprintf("%x\n%x\n", last[:wire.HeaderLen], last[wire.HeaderLen:])
		case "tag":
			k, err := NewTagger(secret, from, to)
			if err != nil {
				return err.Error() + "\n"
			}
			last = k.AppendTag(last)
			return fmt.Sprintf("%x\n%x\n", last[:2], last[len(last)-wire.TagLen:])
		}
		t.Fatalf("unknown command %q", d.Cmd)
		return ""
	})
}

func arg(d *datadriven.TestData, key string) (n uint64) {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			fmt.Sscan(a.Vals[0], &n)
		}
	}
	return n
}
