package transport

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/hashicorp/raft"
)

// The bytes of each call and answer, as they were when the ALPN got its number. A change here is a new
// ALPN.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/golden.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		all := append(calls[:len(calls):len(calls)], struct{ call, answer any }{
			&raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 3, LastLogIndex: 8, LastLogTerm: 2, ConfigurationIndex: 1, Size: 5, Configuration: []byte("conf")},
			&raft.InstallSnapshotResponse{Term: 3, Success: true},
		})
		for _, c := range all {
			k, b, err := appendCall(nil, c.call)
			a, err2 := appendAnswer(nil, c.answer)
			fmt.Fprintf(&out, "%T %d %x %v\n  answer %x %v\n", c.call, k, b, err, a, err2)
		}
		return out.String()
	})
}
