package store

import (
	"context"
	"fmt"

	"github.com/galleon-net/galleon/replication/object"
)

// Amend changes the attributes of a version that is here: tags, retention, legal hold. change is given the
// version as it is, decides, and sets what it wants set in its Attributes; it may run more than once. What differs
// afterwards is stamped, logged as a change of the version, and replicated as such. The zero id is the latest
// version. ErrNotFound, or what change says.
func (s *Store) Amend(ctx context.Context, bucket, key string, id object.VersionID, change func(v *object.Version) error, o PutOptions) (object.Version, Seq, error) {
	var out object.Version
	var seq Seq
	err := s.commit(ctx, recordWeight, func(tx *tx) error {
		rec, err := find(tx.b, bucket, key, id)
		if err != nil {
			return err
		}
		was := rec.v.Attributes
		v := rec.v
		v.Chunks = nil
		if err := change(&v); err != nil {
			return err
		}
		rec.v.Attributes = v.Attributes
		if err := tx.stampChanges(&was, &rec.v); err != nil {
			return err
		}
		seq = rec.seq
		if !was.Equal(rec.v.Attributes) {
			if err := checkVersion(&object.Version{Bucket: bucket, Key: key, Attributes: rec.v.Attributes}); err != nil {
				return err
			}
			if seq, err = tx.rewrite(rec, o.CatalogIndex); err != nil {
				return err
			}
		}
		out = rec.v
		out.Chunks = nil
		return nil
	})
	if err != nil {
		return object.Version{}, 0, fmt.Errorf("amend %s/%s: %w", bucket, key, err)
	}
	return out, seq, nil
}

// stampChanges dates what differs.
func (tx *tx) stampChanges(was *object.Attributes, v *object.Version) error {
	a := &v.Attributes
	same := *a
	same.TagsAt, same.RetentionAt, same.HoldAt = was.TagsAt, was.RetentionAt, was.HoldAt
	if same.Equal(*was) {
		*a = same
		return nil
	}
	id, err := tx.mint(v.ID.Time)
	if err != nil {
		return err
	}
	now := object.Change{VersionID: id, Region: tx.s.opts.Region}
	for _, x := range []struct {
		at   *object.Change
		old  object.Change
		only object.Attributes
	}{
		{&a.TagsAt, was.TagsAt, object.Attributes{Tags: a.Tags, Retention: was.Retention, Hold: was.Hold}},
		{&a.RetentionAt, was.RetentionAt, object.Attributes{Tags: was.Tags, Retention: a.Retention, Hold: was.Hold}},
		{&a.HoldAt, was.HoldAt, object.Attributes{Tags: was.Tags, Retention: was.Retention, Hold: a.Hold}},
	} {
		*x.at = x.old
		if !x.only.Equal(object.Attributes{Tags: was.Tags, Retention: was.Retention, Hold: was.Hold}) {
			*x.at = now
		}
	}
	return nil
}

// rewrite writes a record again that differs in its attributes alone, as a new entry of the log.
func (tx *tx) rewrite(rec *record, catalog uint64) (Seq, error) {
	v := &rec.v
	seq, err := tx.log(logRecord{catalog: catalog, bucket: v.Bucket, key: v.Key, id: v.ID})
	if err != nil {
		return 0, err
	}
	rec.seq, rec.catalog = seq, catalog
	return seq, tx.b.Set(versionKey(spaceVersion, v.Bucket, v.Key, v.ID), rec.encode(), nil)
}

// merge takes a peer's knowledge of a version's attributes.
func (tx *tx) merge(have *record, v *object.Version, catalog uint64) (seq Seq, fresh bool, err error) {
	m := have.v.Attributes.Merge(v.Attributes)
	if m.Equal(have.v.Attributes) {
		return have.seq, false, nil
	}
	have.v.Attributes = m
	for _, c := range []object.Change{m.TagsAt, m.RetentionAt, m.HoldAt} {
		tx.s.opts.Clock.Observe(tx.now, c.Time)
	}
	seq, err = tx.rewrite(have, catalog)
	return seq, true, err
}

// mayPurge says whether a purge that a peer carried out is carried out here too. Governance was judged there; what
// nobody may lift stays.
func mayPurge(rec *record, tx *tx) bool { return !rec.v.Attributes.Protected(tx.now, true) }
