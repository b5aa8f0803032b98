package s3test

import (
	"testing"

	"github.com/galleon-net/galleon/replication/s3"
)

func TestMemory(t *testing.T) {
	TestBackend(t, func(*testing.T) s3.Backend { return &Memory{Region: "cn-hangzhou", Router: 1} })
}
