package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/lifecycle"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// expirePeriod is how often buckets are looked through: what expires does so at midnight, and an hour is soon.
const expirePeriod = time.Hour

// Expirer carries out the lifecycles of buckets on one router's store. What it removes it removes as a client would,
// by deletes that are logged and replicated; so each version is the business of one router, the owner of the region
// that wrote it, and a region that is gone leaves its versions to all.
type Expirer struct {
	Store  *store.Store
	Region topo.Region
	// Buckets gives the buckets that there are; Owns says whether this router owns them in its region; Exists
	// whether a region has routers.
	Buckets func() map[string]object.Bucket
	Owns    func() bool
	Exists  func(topo.Region) bool
	Emit    func(Event)
}

// Expired is reported for every bucket in which a lifecycle did something.
type Expired struct {
	Bucket string
	// Hidden latest versions got a delete marker, Removed ones are gone for good, with markers that hid nothing;
	// Aborted are uploads.
	Hidden, Removed, Aborted int
	// Protected were kept by retention or a hold.
	Protected int
}

// Run sweeps now and then every expirePeriod, until ctx ends. Errors go to failed.
func (x *Expirer) Run(ctx context.Context, failed func(error)) {
	t := time.NewTicker(expirePeriod)
	defer t.Stop()
	for {
		if err := x.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sweep looks through every bucket that has a lifecycle, once. A bucket that fails does not keep the others.
func (x *Expirer) Sweep(ctx context.Context, now time.Time) error {
	if !x.Owns() {
		return nil
	}
	var errs []error
	buckets := x.Buckets()
	for _, name := range slices.Sorted(maps.Keys(buckets)) {
		doc := buckets[name].Settings[object.SettingLifecycle]
		if doc == "" {
			continue
		}
		cfg, err := lifecycle.Parse([]byte(doc))
		if err == nil && cfg.Acts() {
			s := sweep{x: x, cfg: cfg, now: now, did: Expired{Bucket: name}}
			if err = s.run(ctx); s.did != (Expired{Bucket: name}) && x.Emit != nil {
				x.Emit(s.did)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("lifecycle of bucket %s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// sweep is one bucket's turn.
type sweep struct {
	x   *Expirer
	cfg *lifecycle.Config
	now time.Time
	did Expired

	// above is the version before in the listing, and newer the number of noncurrent ones above this one.
	above *object.Version
	newer int
	// marker is a delete marker on top of its key, to be judged when it is known whether something is below it.
	marker *object.Version
}

func (s *sweep) run(ctx context.Context) error {
	o := store.ListOptions{Versions: true}
	for more := true; more; {
		page, err := s.x.Store.List(s.did.Bucket, o)
		if err != nil {
			return err
		}
		for i := range page.Entries {
			if err := s.version(ctx, &page.Entries[i].Version, page.Entries[i].Latest); err != nil {
				return err
			}
		}
		more = page.Truncated
		o.After, o.AfterVersion = page.Next, page.NextVersion
	}
	if err := s.loneMarker(ctx, nil); err != nil {
		return err
	}
	return s.uploads(ctx)
}

// version judges one version; they come newest first within a key.
func (s *sweep) version(ctx context.Context, v *object.Version, latest bool) error {
	if err := s.loneMarker(ctx, v); err != nil {
		return err
	}
	above := s.above
	s.above = v
	if latest {
		s.newer = 0
		if v.DeleteMarker {
			s.marker = v
			return nil
		}
		if rule, yes := s.cfg.Expires(v, lifecycle.Place{Latest: true}, s.now); yes && s.mine(v) {
			_, _, err := s.x.Store.Delete(ctx, v.Bucket, v.Key, store.PutOptions{IfLatest: v.ID})
			return s.outcome(err, &s.did.Hidden, rule)
		}
		return nil
	}
	p := lifecycle.Place{Newer: s.newer}
	s.newer++
	if above != nil && above.Key == v.Key {
		p.Replaced = above.Modified
	}
	if rule, yes := s.cfg.Expires(v, p, s.now); yes && s.mine(v) {
		_, _, err := s.x.Store.Purge(ctx, v.Bucket, v.Key, v.ID, store.PutOptions{})
		return s.outcome(err, &s.did.Removed, rule)
	}
	return nil
}

// loneMarker judges a delete marker once the next version, nil at the end, is known.
func (s *sweep) loneMarker(ctx context.Context, next *object.Version) error {
	m := s.marker
	s.marker = nil
	if m == nil || next != nil && next.Key == m.Key {
		return nil
	}
	if rule, yes := s.cfg.Expires(m, lifecycle.Place{Latest: true, Alone: true}, s.now); yes && s.mine(m) {
		_, _, err := s.x.Store.Purge(ctx, m.Bucket, m.Key, m.ID, store.PutOptions{IfLatest: m.ID})
		return s.outcome(err, &s.did.Removed, rule)
	}
	return nil
}

// mine says whether a version is this region's to remove.
func (s *sweep) mine(v *object.Version) bool { return v.Region == s.x.Region || !s.x.Exists(v.Region) }

// outcome counts what was done. A version that changed in between is judged at the next sweep.
func (s *sweep) outcome(err error, count *int, rule string) error {
	switch {
	case err == nil:
		*count++
	case errors.Is(err, store.ErrProtected):
		s.did.Protected++
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrPrecondition):
	default:
		return fmt.Errorf("rule %q: %w", rule, err)
	}
	return nil
}

func (s *sweep) uploads(ctx context.Context) error {
	key, id := "", ""
	for more := true; more; {
		ups, truncated, err := s.x.Store.ListUploads(s.did.Bucket, "", key, id, 0)
		if err != nil {
			return err
		}
		for _, u := range ups {
			key, id = u.Version.Key, u.ID
			if !s.cfg.Aborts(key, u.Created, s.now) {
				continue
			}
			err := s.x.Store.AbortUpload(ctx, s.did.Bucket, key, id)
			if err != nil && !errors.Is(err, store.ErrNoSuchUpload) {
				return err
			}
			s.did.Aborted++
		}
		more = truncated
	}
	return nil
}
