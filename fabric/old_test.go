package fabric

import (
	"os"
	"os/exec"
	"testing"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// What the tests of this package have by default, flags of the test binary.
var (
	noOffloads bool // devices and sockets of kernels that have neither GSO, GRO, USO nor vnet headers
	oldPeers   bool // routers that never heard of partial checksums
)

// offloadsHere are those of a device in memory.
func offloadsHere() tun.Offloads {
	if noOffloads {
		return tun.Offloads{}
	}
	return tuntest.All
}

// socketHere is what a socket is opened with: as the daemon does.
func socketHere() underlay.Options {
	return underlay.Options{Readers: 2, Lanes: worldLanes, NoOffload: noOffloads}
}

// lacksHere are the feature bits that routers do without.
func lacksHere() (bits uint64) {
	if oldPeers {
		bits = wire.FeaturePartial
	}
	return bits
}

// What holds with everything that a kernel of today has holds without, and between routers of different ages:
// all tests once more.
func TestWithoutWhatIsNew(t *testing.T) {
	if noOffloads || oldPeers || testing.Short() {
		t.Skip("this is one of the runs, or a short one")
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip("no way to start this binary again: ", err)
	}
	for _, lack := range []string{"-no-offloads", "-old-peers"} {
		t.Run(lack, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self, lack, "-chaos", "1", "-test.timeout", "5m")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
