package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/galleon-net/galleon/cmd/admin"
)

const minute = time.Minute

// ledger has every write that was acknowledged, and to whom.
type ledger struct {
	key     admin.KeyCreateReply
	entries map[string]entry // by bucket/key
}

type entry struct {
	at   *Site
	body []byte
}

// Body makes the bytes of an object: n of them, some of them the marker's.
func (w *World) Body(n int) []byte {
	b := make([]byte, max(n, len(marker)))
	for i := copy(b, marker); i < len(b); i++ {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// request makes one signed request to the object endpoint of a site.
func (w *World) request(s *Site, method, path string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.doors.s3.at.String()+"/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	r = signer.SignV4(*r, w.ledger.key.ID, w.ledger.key.Secret, "", string(s.Region))
	resp, err := s.objects.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// Key makes the access key that the world's client uses.
func (w *World) Key(at *Site) {
	w.T.Helper()
	ctx, cancel := ask()
	defer cancel()
	var err error
	if w.ledger.key, err = at.Admin.KeyCreate(ctx, admin.KeyCreateRequest{Description: "the world's client"}); err != nil {
		w.T.Fatalf("key at %s: %v", at.Zone, err)
	}
}

// Known waits until every endpoint can check the client's signatures without asking anybody: routers fetch
// the keys for that ahead of time.
func (w *World) Known() { w.Pass(10 * time.Second) }

// Put writes an object through the endpoint of a site. When the write is acknowledged, the world will
// insist on it for ever.
func (w *World) Put(s *Site, name string, body []byte) error {
	status, b, err := w.request(s, http.MethodPut, name, body)
	if err != nil {
		return fmt.Errorf("put %s at %s: %w", name, s.Zone, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("put %s at %s: status %d: %s", name, s.Zone, status, b)
	}
	if w.ledger.entries == nil {
		w.ledger.entries = map[string]entry{}
	}
	w.ledger.entries[name] = entry{s, body}
	return nil
}

var errAbsent = errors.New("absent")

// Get reads an object through the endpoint of a site.
func (w *World) Get(s *Site, name string) ([]byte, error) {
	status, b, err := w.request(s, http.MethodGet, name, nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("get %s at %s: %w", name, s.Zone, err)
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("get %s at %s: %w", name, s.Zone, errAbsent)
	case status != http.StatusOK:
		return nil, fmt.Errorf("get %s at %s: status %d: %s", name, s.Zone, status, b)
	}
	return b, nil
}

// checkLedger reads every acknowledged object where it was acknowledged.
func (w *World) checkLedger() {
	w.T.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.ledger.entries)) {
		e := w.ledger.entries[name]
		if e.at.control == nil || e.at.Revoked {
			continue
		}
		b, err := w.Get(e.at, name)
		if err != nil {
			w.T.Errorf("an acknowledged write is lost: %v", err)
		} else if !bytes.Equal(b, e.body) {
			w.T.Errorf("%s at %s: %d bytes that are not the %d that were put", name, e.at.Zone, len(b), len(e.body))
		}
	}
}

// Missing names the acknowledged objects that a site does not have, or has otherwise than they were put.
func (w *World) Missing(at *Site) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.ledger.entries)) {
		if b, err := w.Get(at, name); err != nil || !bytes.Equal(b, w.ledger.entries[name].body) {
			out = append(out, name)
		}
	}
	return out
}

// Replicated waits until a site has every acknowledged object.
func (w *World) Replicated(at *Site, within time.Duration) {
	w.T.Helper()
	w.Until(within, "every acknowledged object is in "+string(at.Zone), func() bool { return len(w.Missing(at)) == 0 })
}
