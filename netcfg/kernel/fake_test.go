package kernel_test

import (
	"testing"

	"github.com/galleon-net/galleon/netcfg/kernel/kerneltest"
)

func TestFakeContract(t *testing.T) {
	kerneltest.Contract(t, func(*testing.T) kerneltest.Bench { return kerneltest.NewFakeBench() })
}
