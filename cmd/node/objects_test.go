package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// TestObjectsBeforeThereIsACluster answers a client instead of letting it wait.
func TestObjectsBeforeThereIsACluster(t *testing.T) {
	r := newTestRouter(t)
	resp, err := http.Get("http://" + r.env.S3.Addr().String() + "/models/key")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b), "<Code>ServiceUnavailable</Code>") {
		t.Errorf("status %d, %s, %v", resp.StatusCode, b, err)
	}
	if _, err := r.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a"}); err != nil {
		t.Fatal(err)
	}
	if resp, err = http.Get("http://" + r.env.S3.Addr().String() + s3.HealthPath); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("once it is a member: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
}
