package node

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

func (a api) BucketCreate(ctx context.Context, r admin.BucketCreateRequest) (admin.BucketReply, error) {
	b := object.Bucket{Name: r.Name, Versioning: r.Versioning, Ack: r.Ack}
	res, m, err := a.change(ctx, r.Change, state.Command{CreateBucket: &state.CreateBucket{Bucket: b}})
	if err != nil {
		return admin.BucketReply{}, err
	}
	s, err := m.consensus.AtLeast(ctx, res.Index)
	if err != nil {
		return admin.BucketReply{}, apiError(err)
	}
	return admin.BucketReply{Bucket: s.Buckets[r.Name]}, nil
}

func (a api) BucketList(context.Context, admin.BucketListRequest) (admin.BucketListReply, error) {
	var reply admin.BucketListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	for _, name := range slices.Sorted(maps.Keys(s.Buckets)) {
		info := admin.BucketInfo{Bucket: s.Buckets[name]}
		st, err := m.store.BucketStats(name)
		if err != nil {
			return reply, apiError(err)
		}
		info.Objects, info.Bytes = st.Objects, st.Bytes
		reply.Buckets = append(reply.Buckets, info)
	}
	return reply, nil
}

func (a api) BucketDelete(ctx context.Context, r admin.BucketDeleteRequest) (admin.Empty, error) {
	m, err := a.c.need()
	if err != nil {
		return admin.Empty{}, err
	}
	if empty, err := isEmpty(m.store, r.Name); err != nil {
		return admin.Empty{}, apiError(err)
	} else if !empty {
		return admin.Empty{}, &admin.Error{Code: admin.CodeConflict, Message: "bucket " + r.Name + " is not empty", Hint: "delete its objects first"}
	}
	_, _, err = a.change(ctx, r.Change, state.Command{DeleteBucket: &state.DeleteBucket{Name: r.Name}})
	return admin.Empty{}, err
}

// isEmpty says whether a bucket has no visible version here.
func isEmpty(s *store.Store, bucket string) (bool, error) {
	page, err := s.List(bucket, store.ListOptions{Limit: 1})
	return len(page.Entries) == 0, err
}

func (a api) PolicyApply(ctx context.Context, r admin.PolicyApplyRequest) (admin.PolicyApplyReply, error) {
	var reply admin.PolicyApplyReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	before := m.consensus.View()
	cmd := state.Command{ApplyPolicies: &state.ApplyPolicies{Policies: r.Policies}}
	after, res, _ := before.Apply(before.Index+1, cmd)
	if res.Err != nil {
		return reply, refused(res.Err)
	}
	if !r.DryRun {
		res, _, err := a.change(ctx, r.Change, cmd)
		if err != nil {
			return reply, err
		}
		if after, err = m.consensus.AtLeast(ctx, res.Index); err != nil {
			return reply, apiError(err)
		}
	}
	for _, p := range r.Policies {
		old, had := before.Policies[p.Name]
		outcome := "created"
		switch {
		case had && reflect.DeepEqual(old, p):
			outcome = "unchanged"
		case had:
			outcome = "changed"
		}
		targets := map[topo.Region]bool{}
		for _, from := range after.Regions() {
			for _, to := range p.Targets(&object.Version{Bucket: p.Bucket, Key: p.Prefix, Region: from}, after.Regions()) {
				targets[to] = true
			}
		}
		reply.Results = append(reply.Results, admin.PolicyResult{Name: p.Name, Outcome: outcome, Targets: slices.Sorted(maps.Keys(targets))})
	}
	return reply, nil
}

func (a api) PolicyList(context.Context, admin.PolicyListRequest) (admin.PolicyListReply, error) {
	var reply admin.PolicyListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	for _, name := range slices.Sorted(maps.Keys(s.Policies)) {
		reply.Policies = append(reply.Policies, s.Policies[name])
	}
	return reply, nil
}

func (a api) PolicyDelete(ctx context.Context, r admin.PolicyDeleteRequest) (admin.Empty, error) {
	_, _, err := a.change(ctx, r.Change, state.Command{DeletePolicy: &state.DeletePolicy{Name: r.Name}})
	return admin.Empty{}, err
}

// Sizes of access keys, in random bytes.
const (
	keyIDBytes     = 10 // 16 characters in base 32
	keySecretBytes = 30 // 40 characters in base 64
)

func (a api) KeyCreate(ctx context.Context, r admin.KeyCreateRequest) (admin.KeyCreateReply, error) {
	var reply admin.KeyCreateReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	b := make([]byte, keyIDBytes+keySecretBytes)
	rand.Read(b)
	id := "GAL" + strings.TrimRight(base32.StdEncoding.EncodeToString(b[:keyIDBytes]), "=")
	secret := base64.RawURLEncoding.EncodeToString(b[keyIDBytes:])
	sealed, err := a.c.seal(ctx, m, id, []byte(secret))
	if err != nil {
		return reply, apiError(err)
	}
	res, _, err := a.change(ctx, r.Change, state.Command{CreateKey: &state.CreateKey{
		Key: state.AccessKey{ID: id, Description: r.Description}, Secret: sealed,
	}})
	if err != nil {
		return reply, err
	}
	s, err := m.consensus.AtLeast(ctx, res.Index)
	if err != nil {
		return reply, apiError(err)
	}
	if _, ok := s.Keys[id]; !ok {
		return reply, &admin.Error{Code: admin.CodeConflict, Message: "an access key was made with this idempotency key before; its secret was shown then, and only then",
			Hint: "galleon key list shows it; remove it with galleon key delete, and make another"}
	}
	return admin.KeyCreateReply{ID: id, Secret: secret}, nil
}

func (a api) KeyList(context.Context, admin.KeyListRequest) (admin.KeyListReply, error) {
	var reply admin.KeyListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	for _, id := range slices.Sorted(maps.Keys(s.Keys)) {
		k := s.Keys[id]
		reply.Keys = append(reply.Keys, admin.KeyInfo{ID: k.ID, Description: k.Description, Created: k.Created})
	}
	return reply, nil
}

func (a api) KeyDelete(ctx context.Context, r admin.KeyDeleteRequest) (admin.Empty, error) {
	_, _, err := a.change(ctx, r.Change, state.Command{DeleteKey: &state.DeleteKey{ID: r.ID}})
	return admin.Empty{}, err
}

func (a api) ReplicationStatus(_ context.Context, r admin.ReplicationStatusRequest) (admin.ReplicationStatusReply, error) {
	var reply admin.ReplicationStatusReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	s := m.consensus.View()
	for _, f := range m.engine.Status().Flows {
		if r.Bucket != "" && f.Bucket != r.Bucket {
			continue
		}
		reply.Flows = append(reply.Flows, admin.FlowInfo{
			Policy: f.Policy, Bucket: f.Bucket, From: nameOf(s, f.From), To: nameOf(s, f.To), Phase: f.Phase,
			PendingObjects: f.PendingObjects, PendingBytes: f.PendingBytes, OldestPending: f.OldestPending,
			DoneObjects: f.DoneObjects, DoneBytes: f.DoneBytes, WireBytes: f.WireBytes, LastError: f.LastError,
		})
	}
	return reply, nil
}

func (a api) ObjectStatus(_ context.Context, r admin.ObjectStatusRequest) (admin.ObjectStatusReply, error) {
	var reply admin.ObjectStatusReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	v, err := m.store.Get(r.Bucket, r.Key, object.VersionID{})
	if errors.Is(err, store.ErrNotFound) {
		return reply, &admin.Error{Code: admin.CodeNotFound, Message: "no object " + r.Bucket + "/" + r.Key + " on this router", Hint: "ask the router of another region with --router"}
	}
	if err != nil {
		return reply, apiError(err)
	}
	s := m.consensus.View()
	reply.Version = v
	st := m.engine.ObjectStatus(v)
	reply.Status = st.Status
	for _, d := range st.Destinations {
		reply.Destinations = append(reply.Destinations, admin.DestinationStatus{
			Policy: d.Policy, Router: nameOf(s, d.Router), Region: d.Region, Status: d.Status, Detail: d.Detail,
		})
	}
	return reply, nil
}

func (a api) ConflictList(_ context.Context, r admin.ConflictListRequest) (admin.ConflictListReply, error) {
	var reply admin.ConflictListReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	list, err := m.store.Conflicts(r.Bucket, "", 1000)
	if err != nil {
		return reply, apiError(err)
	}
	for _, c := range list {
		reply.Versions = append(reply.Versions, c.Loser)
	}
	return reply, nil
}
