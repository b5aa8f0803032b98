package node

import (
	"errors"
	"fmt"
	"testing"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/replication"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/s3/s3test"
	"github.com/galleon-net/galleon/replication/store"
)

// TestBackend holds the object endpoint's view of a router to what the endpoint expects.
func TestBackend(t *testing.T) {
	s3test.TestBackend(t, func(t *testing.T) s3.Backend {
		r := newTestRouter(t)
		if _, err := r.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a"}); err != nil {
			t.Fatal(err)
		}
		return backend{r.Control, r.current()}
	})
}

func TestStoreErrors(t *testing.T) {
	for _, k := range []struct{ in, want error }{
		{store.ErrNotFound, s3.ErrNoSuchKey}, {store.ErrNoSpace, s3.ErrNoSpace}, {store.ErrClosed, s3.ErrUnavailable},
		{store.ErrFailed, s3.ErrUnavailable}, {store.ErrPrecondition, s3.ErrPrecondition}, {store.ErrNoSuchUpload, s3.ErrNoSuchUpload},
		{store.ErrInvalidPart, s3.ErrInvalidPart}, {object.ErrClock, s3.ErrClock}, {replication.ErrAckPending, s3.ErrAckPending},
	} {
		in := fmt.Errorf("put: %w", k.in)
		if got := s3Error(in, s3.ErrNoSuchKey); !errors.Is(got, k.want) || !errors.Is(got, k.in) {
			t.Errorf("%v: %v, want %v", k.in, got, k.want)
		}
	}
	if err := s3Error(nil, s3.ErrNoSuchKey); err != nil {
		t.Errorf("nothing is %v", err)
	}
}
