package state

import (
	"fmt"
	"maps"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// Bounds on what the catalog holds for the object store.
const (
	maxBuckets  = 10_000
	maxPolicies = 10_000
	maxKeys     = 10_000
	maxSecret   = 4096
)

func (o *CreateBucket) level() int {
	if o.Bucket.Locked || o.Bucket.Suspended || len(o.Bucket.Settings) > 0 {
		return 2
	}
	return 1
}
func (o *CreateBucket) what() string { return "create bucket " + o.Bucket.Name }

func (o *CreateBucket) apply(d *draft) (Result, error) {
	b := o.Bucket
	if err := object.CheckBucketName(b.Name); err != nil {
		return Result{}, refuse(CodeInvalid, "%v", err)
	}
	if _, ok := d.Buckets[b.Name]; ok {
		return Result{}, refuse(CodeConflict, "bucket %q exists already", b.Name)
	}
	if len(d.Buckets) >= maxBuckets {
		return Result{}, refuse(CodeConflict, "there are %d buckets already, the most there can be", maxBuckets)
	}
	for name, document := range b.Settings {
		if err := object.CheckSetting(name, document); err != nil {
			return Result{}, refuse(CodeInvalid, "%v", err)
		}
	}
	b.Created = d.now
	edit(&d.Buckets)[b.Name] = b
	return Result{}, nil
}

func (o *UpdateBucket) level() int {
	if o.Suspend || o.Lock || len(o.Settings) > 0 {
		return 2
	}
	return 1
}
func (o *UpdateBucket) what() string { return "change the settings of bucket " + o.Name }

func (o *UpdateBucket) apply(d *draft) (Result, error) {
	b, ok := d.Buckets[o.Name]
	if !ok {
		return Result{}, refuse(CodeNotFound, "bucket %q does not exist", o.Name)
	}
	if err := o.version(&b); err != nil {
		return Result{}, err
	}
	if o.Ack != nil {
		b.Ack = *o.Ack
	}
	if len(o.Settings) > 0 {
		all := maps.Clone(b.Settings)
		if all == nil {
			all = map[object.Setting]string{}
		}
		for name, document := range o.Settings {
			if err := object.CheckSetting(name, document); err != nil {
				return Result{}, refuse(CodeInvalid, "%v", err)
			}
			if all[name] = document; document == "" {
				delete(all, name)
			}
		}
		b.Settings = all
	}
	edit(&d.Buckets)[o.Name] = b
	return Result{}, nil
}

// version switches versions and locking, of which neither goes back to what it was before.
func (o *UpdateBucket) version(b *object.Bucket) error {
	if o.Versioning != nil {
		if !*o.Versioning && b.Locked {
			return refuse(CodeConflict, "bucket %q has object lock: it keeps its versions", b.Name)
		}
		b.Suspended = !*o.Versioning && (o.Suspend || b.Suspended)
		b.Versioning = *o.Versioning
	}
	if o.Lock {
		b.Locked, b.Versioning, b.Suspended = true, true, false
	}
	return nil
}

func (*DeleteBucket) level() int     { return 1 }
func (o *DeleteBucket) what() string { return "delete bucket " + o.Name }

func (o *DeleteBucket) apply(d *draft) (Result, error) {
	if _, ok := d.Buckets[o.Name]; !ok {
		return Result{}, refuse(CodeNotFound, "bucket %q does not exist", o.Name)
	}
	for _, p := range d.Policies {
		if p.Bucket == o.Name {
			return Result{}, refuse(CodeConflict, "policy %q still copies bucket %q; delete it first with: galleon policy delete %s", p.Name, o.Name, p.Name)
		}
	}
	delete(edit(&d.Buckets), o.Name)
	return Result{}, nil
}

func (*ApplyPolicies) level() int { return 1 }
func (o *ApplyPolicies) what() string {
	names := make([]string, len(o.Policies))
	for i, p := range o.Policies {
		names[i] = p.Name
	}
	return "apply policies " + strings.Join(names, ", ")
}

func (o *ApplyPolicies) apply(d *draft) (Result, error) {
	if len(o.Policies) == 0 {
		return Result{}, refuse(CodeInvalid, "there is no policy to apply")
	}
	hasBucket := func(name string) bool { _, ok := d.Buckets[name]; return ok }
	policies := edit(&d.Policies)
	seen := map[string]bool{}
	for _, p := range o.Policies {
		if err := p.Check(d.HasRegion, hasBucket); err != nil {
			return Result{}, refuse(CodeInvalid, "%v", err)
		}
		if seen[p.Name] {
			return Result{}, refuse(CodeInvalid, "policy %q is there twice", p.Name)
		}
		seen[p.Name] = true
		policies[p.Name] = p
	}
	if len(policies) > maxPolicies {
		return Result{}, refuse(CodeConflict, "%d policies, the most there can be is %d", len(policies), maxPolicies)
	}
	return Result{}, nil
}

func (*DeletePolicy) level() int     { return 1 }
func (o *DeletePolicy) what() string { return "delete policy " + o.Name }

func (o *DeletePolicy) apply(d *draft) (Result, error) {
	if _, ok := d.Policies[o.Name]; !ok {
		return Result{}, refuse(CodeNotFound, "policy %q does not exist; galleon policy list shows those that do", o.Name)
	}
	delete(edit(&d.Policies), o.Name)
	return Result{}, nil
}

func (*CreateKey) level() int     { return 1 }
func (o *CreateKey) what() string { return fmt.Sprintf("create access key %s", o.Key.ID) }

func (o *CreateKey) apply(d *draft) (Result, error) {
	k := o.Key
	if len(k.ID) < 16 || len(k.ID) > 128 || len(k.Description) > 256 || len(o.Secret) == 0 || len(o.Secret) > maxSecret {
		return Result{}, refuse(CodeInvalid, "access key %q: an id has 16 to 128 characters, a description at most 256", k.ID)
	}
	if _, ok := d.Keys[k.ID]; ok {
		return Result{}, refuse(CodeConflict, "access key %s exists already", k.ID)
	}
	if len(d.Keys) >= maxKeys {
		return Result{}, refuse(CodeConflict, "there are %d access keys already, the most there can be", maxKeys)
	}
	k.Created = d.now
	edit(&d.Keys)[k.ID] = k
	edit(&d.Sealed)[SealedKey(k.ID)] = o.Secret
	return Result{}, nil
}

func (*DeleteKey) level() int     { return 1 }
func (o *DeleteKey) what() string { return "delete access key " + o.ID }

func (o *DeleteKey) apply(d *draft) (Result, error) {
	if _, ok := d.Keys[o.ID]; !ok {
		return Result{}, refuse(CodeNotFound, "access key %q does not exist; galleon key list shows those that do", o.ID)
	}
	delete(edit(&d.Keys), o.ID)
	delete(edit(&d.Sealed), SealedKey(o.ID))
	return Result{}, nil
}
