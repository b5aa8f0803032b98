package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// Voters hold the secrets of access keys. Every other router gets keys that Signature V4 derives from them
// for one region and one day, for a week ahead, and keeps them on disk, so that its endpoint works through
// an outage of the control plane of that length.

const (
	signingFile   = "signing.json"
	signingDays   = 8 // today and a week ahead
	signingPeriod = time.Hour
	dayFormat     = "20060102"
	// clientRegion is what clients sign for that were told no region; it is taken everywhere.
	clientRegion = "us-east-1"
)

// signingRequest asks for the keys of all access keys for a region of the asker's own, from a day on.
type signingRequest struct {
	From string `json:"from"`
}

// signingReply has keys by access key, then by "day/region".
type signingReply struct {
	Keys map[string]map[string][]byte `json:"keys"`
}

// signingKeys is a router's cache of derived keys.
type signingKeys struct {
	path   string
	region topo.Region

	mu      sync.Mutex
	keys    map[string]map[string][]byte
	fetched time.Time
}

func openSigningKeys(path string, region topo.Region) (*signingKeys, error) {
	k := &signingKeys{path: path, region: region, keys: map[string]map[string][]byte{}}
	b, err := keys.ReadSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	if err := json.Unmarshal(b, &k.keys); err != nil {
		return nil, fmt.Errorf("read signing keys in %s: %w", path, err)
	}
	return k, nil
}

// derive makes the keys of every access key for a region and its days. A secret that does not open costs its
// own key only: the others come with the error.
func derive(s *state.State, v *vault, region topo.Region, from time.Time) (map[string]map[string][]byte, error) {
	out := make(map[string]map[string][]byte, len(s.Keys))
	var errs []error
	for id := range s.Keys {
		secret, err := v.open(state.SealedKey(id), s.Sealed[state.SealedKey(id)])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		days := map[string][]byte{}
		for d := range signingDays {
			day := from.AddDate(0, 0, d).UTC().Format(dayFormat)
			for _, r := range []string{string(region), clientRegion} {
				days[day+"/"+r] = sigv4.Key(string(secret), day, r)
			}
		}
		out[id] = days
	}
	return out, errors.Join(errs...)
}

// deriveFor answers another router: keys for its own region only.
func (m *member) deriveFor(from topo.RouterID, r signingRequest) (signingReply, error) {
	v := m.getVault()
	if v == nil {
		return signingReply{}, &admin.Error{Code: admin.CodeUnavailable, Message: errNoVault.Error()}
	}
	day, err := time.Parse(dayFormat, r.From)
	if err != nil {
		return signingReply{}, &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("day %q", printable(r.From))}
	}
	if lead := time.Until(day); lead > 48*time.Hour || lead < -48*time.Hour {
		return signingReply{}, &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("day %s is not near today; is the clock of router %s right?", r.From, from)}
	}
	s := m.consensus.View()
	k, err := derive(s, v, s.Routers[from].Region, day)
	if len(k) > 0 {
		err = nil // the asker's signing keys are what can be made
	}
	return signingReply{Keys: k}, err
}

// refresh fetches keys when the catalog has other access keys than at the last time, or an hour has passed.
func (k *signingKeys) refresh(ctx context.Context, c *Control, m *member) error {
	s := m.consensus.View()
	k.mu.Lock()
	fresh := time.Since(k.fetched) < signingPeriod && len(k.keys) == len(s.Keys)
	for id := range s.Keys {
		fresh = fresh && k.keys[id] != nil
	}
	k.mu.Unlock()
	if fresh || len(s.Keys) == 0 {
		return nil
	}
	var got map[string]map[string][]byte
	now := time.Now().UTC()
	var bad error
	if v := m.getVault(); v != nil {
		if got, bad = derive(s, v, k.region, now.AddDate(0, 0, -1)); len(got) == 0 {
			return bad
		}
	} else {
		var r signingReply
		req := signingRequest{From: now.AddDate(0, 0, -1).Format(dayFormat)}
		if err := c.anyVoter(ctx, m, func(id topo.RouterID) error { return c.askPeer(ctx, id, pathSigning, req, &r) }); err != nil {
			return err
		}
		got = r.Keys
	}
	b, err := json.Marshal(got)
	if err != nil {
		return fmt.Errorf("save signing keys: %w", err)
	}
	if err := keys.WriteSecret(k.path, b); err != nil {
		return fmt.Errorf("save signing keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.fetched = got, time.Now()
	return bad
}

func (k *signingKeys) get(accessKey, date, region string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[accessKey][date+"/"+region]
}

// signer answers the object endpoint.
type signer struct {
	c *Control
	m *member
}

// SigningKey gives a derived key, of an access key that the catalog has, from the cache or from a voter.
func (s signer) SigningKey(ctx context.Context, accessKey, date, region string) ([]byte, error) {
	if _, ok := s.m.consensus.View().Keys[accessKey]; !ok {
		return nil, s3.ErrNoSuchAccessKey
	}
	if k := s.m.signing.get(accessKey, date, region); k != nil {
		return k, nil
	}
	s.m.signing.mu.Lock()
	s.m.signing.fetched = time.Time{}
	s.m.signing.mu.Unlock()
	if err := s.m.signing.refresh(ctx, s.c, s.m); err != nil {
		return nil, fmt.Errorf("%w: signing key of %s: %w", s3.ErrUnavailable, accessKey, err)
	}
	if k := s.m.signing.get(accessKey, date, region); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%w: access key %s has no key for %s in %s here; sign for region %s or %s",
		s3.ErrNoSuchAccessKey, accessKey, date, region, s.m.signing.region, clientRegion)
}
