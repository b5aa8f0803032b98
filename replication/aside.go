package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// A version that cannot be taken is set aside: listed in the destination's store, told to the source, so that it
// counts as failed and not as done, and asked for again for as long as it takes. It holds up nothing else.
const (
	// maxAside is how many versions of one flow a source knows by name.
	maxAside = 1000
	// They are asked for again againMin after a stream began, and then ever more rarely, up to every againMax.
	againMin = time.Minute
	againMax = time.Hour
)

// againPace says when the versions that were set aside are asked for again. It belongs to apply.
type againPace struct {
	next  time.Time
	wait  time.Duration
	after string // the last name that was asked for: there may be more than fit in one frame
}

// askAgain asks for versions that were set aside, when it is time. The source's pings see to it that this is
// looked at.
func (i *intake) askAgain() error {
	p, now := &i.again, time.Now()
	if p.wait == 0 {
		p.wait, p.next = againMin, now.Add(againMin)
	}
	if now.Before(p.next) {
		return nil
	}
	p.wait = min(2*p.wait, againMax)
	p.next = now.Add(p.wait)
	list, err := i.f.asides()
	if err != nil || len(list) == 0 {
		return err
	}
	var body againBody
	for pass := 0; pass < 2 && len(body.Versions) == 0; pass++ {
		for _, a := range list {
			name := i.f.flow.asideName(a.ref)
			if name > p.after && len(body.Versions) < maxAgain {
				body.Versions = append(body.Versions, a.ref)
				p.after = name
			}
		}
		if len(body.Versions) == 0 {
			p.after = "" // from the beginning
		}
	}
	b, err := json.Marshal(body)
	if err == nil {
		err = i.send(frameAgain, b)
	}
	return err
}

// asides lists what was set aside of this flow, by name.
func (f *follower) asides() ([]aside, error) {
	cs, err := f.e.cfg.Store.Cursors(f.flow.asidePrefix())
	if err != nil {
		return nil, err
	}
	var out []aside
	for _, c := range cs {
		var a aside
		if err := json.Unmarshal(c.Value, &a); err != nil {
			return nil, fmt.Errorf("read %s: %w", c.Name, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// settle forgets what was set aside and is here now, or gone at the source.
func (f *follower) settle(ctx context.Context, good []store.Replica, gone []ref) error {
	f.mu.Lock()
	none := f.status.Aside == 0
	f.mu.Unlock()
	if none {
		return nil
	}
	list, err := f.asides()
	if err != nil {
		return err
	}
	settled := map[ref]bool{}
	for i := range good {
		settled[refOf(&good[i].Version)] = true
	}
	for _, r := range gone {
		settled[r] = true
	}
	for _, a := range list {
		if !settled[a.ref] {
			continue
		}
		if err := f.e.cfg.Store.SetCursor(ctx, store.Cursor{Name: f.flow.asideName(a.ref)}); err != nil {
			return err
		}
		f.mu.Lock()
		f.status.Aside--
		f.mu.Unlock()
		f.e.emit(Settled{Rule: f.flow.rule, Source: f.flow.source, Bucket: a.Bucket, Key: a.Key})
	}
	return nil
}

// Aside is a version that this router could not take yet.
type Aside struct {
	Rule        string
	Source      topo.RouterID
	Bucket, Key string
	ID          object.VersionID
	Why         string
	Since       time.Time
}

// Asides lists the versions that this router could not take yet, under whatever rule.
func (e *Engine) Asides() ([]Aside, error) {
	cs, err := e.cfg.Store.Cursors(asidePrefix)
	if err != nil {
		return nil, fmt.Errorf("list versions set aside: %w", err)
	}
	var out []Aside
	for _, c := range cs {
		var a aside
		if err := json.Unmarshal(c.Value, &a); err != nil {
			return nil, fmt.Errorf("read %s: %w", c.Name, err)
		}
		at := strings.Split(c.Name, "/") // aside, rule, hash, source, mark
		item := Aside{Bucket: a.Bucket, Key: a.Key, ID: a.ID, Why: a.Why, Since: a.Since}
		if len(at) == 5 {
			item.Rule = at[1]
			_ = item.Source.UnmarshalText([]byte(at[3])) // zero when it cannot be read
		}
		out = append(out, item)
	}
	return out, nil
}
