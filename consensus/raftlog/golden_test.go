package raftlog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/hashicorp/raft"
)

// The bytes of entries as they lie on disks that exist. A change here needs a new format number.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/golden.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for _, l := range []*raft.Log{
			{Index: 1, Term: 1, Type: raft.LogCommand, Data: []byte("put")},
			{Index: 1 << 40, Term: 7, Type: raft.LogNoop, AppendedAt: time.Unix(5, 6)},
			{Index: 3, Term: 2, Type: raft.LogConfiguration, Data: []byte{0}, Extensions: []byte("ext")},
		} {
			fmt.Fprintf(&out, "%x %x\n", logKey(l.Index), encode(l))
		}
		return out.String()
	})
}
