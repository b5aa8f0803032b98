package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// router is a control half that runs in the test, on loopback, with a forward half that only remembers.
type router struct {
	*Control
	t       *testing.T
	dir     string
	fs      vfs.FS
	forward *fakeForward
	socket  string
	client  *admin.Client
	stop    func()
}

func newTestRouter(t *testing.T) *router {
	t.Helper()
	r := &router{t: t, dir: t.TempDir(), fs: vfs.NewMem(), forward: &fakeForward{}}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *router) start() {
	t := r.t
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(pc.LocalAddr().String())
	cfg := config.Default()
	cfg.DataDir = r.dir
	cfg.Advertise.Forward = []config.Endpoint{{AddrPort: netip.AddrPortFrom(at.Addr(), 4700)}}
	cfg.Advertise.Control = []config.Endpoint{{AddrPort: at}}
	cfg.Store.MinFree = 0
	// A Unix socket's path has little room, and a test's directory a long name.
	run, err := os.MkdirTemp("", "node")
	if err != nil {
		t.Fatal(err)
	}
	r.socket = filepath.Join(run, "s")
	l, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial, stopForward := serveForward(t, r.forward)
	r.Control, err = NewControl(ControlEnv{
		Config: cfg, Conn: pc, FS: r.fs, Forward: dial, Admin: l, S3: objects, Caller: func(net.Conn) string { return "ana" },
		Addresses: func() []netip.Addr { return []netip.Addr{at.Addr()} }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Fatal: func(err error) { t.Errorf("fatal: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.client = admin.NewUnixClient(r.socket)
	r.stop = func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(15 * time.Second):
			var stacks [1 << 20]byte
			t.Errorf("it does not end:\n%s", stacks[:runtime.Stack(stacks[:], true)])
		}
		r.client.Close()
		stopForward()
		os.RemoveAll(run)
		r.stop = func() {}
	}
}

// eventually waits until ok.
func (r *router) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func (r *router) token(req admin.TokenCreateRequest) string {
	r.t.Helper()
	got, err := r.client.TokenCreate(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return got.Token
}

// refuses checks that an error is a refusal with a code and words in it.
func refuses(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), words) {
		t.Errorf("%s: %v; want %s with %q", what, err, code, words)
	}
}

// newTestCluster makes a cluster of two: a voter in cn-hangzhou, and a router in ap-tokyo that is none yet.
func newTestCluster(t *testing.T) (a, b *router) {
	t.Helper()
	a, b = newTestRouter(t), newTestRouter(t)
	if _, err := a.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a", Prefixes: seg("10.1.0.0/24")}); err != nil {
		t.Fatal(err)
	}
	token := a.token(admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("10.3.0.0/24")})
	got, err := b.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "ap-tokyo-a-1" || got.Region != "ap-tokyo" || !slices.Equal(got.Prefixes, seg("10.3.0.0/24")) {
		t.Errorf("joined as %+v", got)
	}
	return a, b
}

func TestJoin(t *testing.T) {
	a, b := newTestRouter(t), newTestRouter(t)
	_, err := b.client.RouterList(t.Context(), admin.RouterListRequest{})
	refuses(t, "before there is a cluster", err, admin.CodeUnavailable, "galleon join TOKEN")
	if st, err := b.client.ClusterStatus(t.Context(), admin.ClusterStatusRequest{}); err != nil || st.State != "uninitialised" {
		t.Errorf("status %+v, %v", st, err)
	}
	_, err = a.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "us-west-a"})
	refuses(t, "a zone of another region", err, admin.CodeInvalid, "us-west-a")
	if a.current() != nil {
		t.Fatal("half a cluster was made")
	}
	made, err := a.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a", Prefixes: seg("10.1.0.0/24")})
	if err != nil || made.Name != "cn-hangzhou-a-1" {
		t.Fatalf("init: %+v, %v", made, err)
	}
	if st, err := os.Stat(made.RootKeyFile); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the root key: %v", err)
	}
	_, err = a.client.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a"})
	refuses(t, "a second cluster", err, admin.CodeConflict, "already")

	for _, k := range []struct {
		what string
		req  admin.TokenCreateRequest
		code string
		want string
	}{
		{"a prefix of another region", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("10.1.0.0/16")}, admin.CodeConflict, "10.1.0.0/24"},
		{"prefixes that overlap", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("10.3.0.0/16", "10.3.9.0/24")}, admin.CodeInvalid, "in the same token"},
		{"bits behind the length", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("10.3.0.1/24")}, admin.CodeInvalid, "did you mean 10.3.0.0/24"},
		{"loopbacks", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("100.127.9.0/24")}, admin.CodeConflict, "loopbacks"},
		{"a long life", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", TTL: 1000 * time.Hour}, admin.CodeInvalid, "want one second to"},
		{"no region", admin.TokenCreateRequest{}, admin.CodeInvalid, "region"},
		{"a pool that is not there", admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Pool: "x"}, admin.CodeNotFound, "galleon pool create x"},
	} {
		_, err := a.client.TokenCreate(t.Context(), k.req)
		refuses(t, k.what, err, k.code, k.want)
	}
	tokyo := admin.TokenCreateRequest{Region: "ap-tokyo", Zone: "ap-tokyo-a", Prefixes: seg("10.3.0.0/24")}
	token := a.token(tokyo)
	_, err = a.client.TokenCreate(t.Context(), admin.TokenCreateRequest{Region: "eu-frankfurt", Zone: "eu-frankfurt-a", Prefixes: seg("10.3.0.0/16")})
	refuses(t, "a prefix that a token promises", err, admin.CodeConflict, "galleon token delete")
	named := tokyo
	named.Change.Key, named.Prefixes = "mine", nil
	a.token(named)
	_, err = a.client.TokenCreate(t.Context(), named)
	refuses(t, "the same key again", err, admin.CodeConflict, "shown then")

	before := a.current().consensus.View().Audit.Seq
	for what, k := range map[string]struct{ token, want string }{
		"no token":  {"hello", "token"},
		"cut short": {token[:len(token)-9], "cut short"},
		"altered":   {token[:20] + flip(token[20:21]) + token[21:], "altered"},
	} {
		_, err := b.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: k.token})
		refuses(t, what, err, admin.CodeDenied, k.want)
	}
	// A token of good form that the cluster never made costs it no entry of the log.
	index := a.current().consensus.View().Index
	b.stop()
	b.start()
	if _, err := b.join(t.Context(), forged(t, token)); err == nil {
		t.Error("a forged token was taken")
	} else {
		refuses(t, "forged", err, admin.CodeDenied, "altered")
	}
	if got := a.current().consensus.View(); got.Audit.Seq != before || got.Index != index {
		t.Errorf("refusals cost %d entries of the log", got.Index-index)
	}
	if b.current() != nil {
		t.Fatal("b is half a member")
	}

	joined, err := b.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: token})
	if err != nil || joined.Name != "ap-tokyo-a-1" {
		t.Fatalf("join: %+v, %v", joined, err)
	}
	_, err = b.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: token})
	refuses(t, "a second time", err, admin.CodeConflict, "already")
	c := newTestRouter(t)
	_, err = c.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: token})
	refuses(t, "a used token", err, admin.CodeDenied, "used by another router")
	short := a.token(admin.TokenCreateRequest{Region: "eu-frankfurt", Zone: "eu-frankfurt-a", TTL: time.Second})
	c.eventually("the token expires", func() bool {
		_, err := c.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: short})
		// The first attempts may come in time; that is a join and no failure of this test's.
		return err != nil && strings.Contains(err.Error(), "expired") || err == nil || c.current() != nil
	})

	// Restarted, it is who it was.
	b.stop()
	b.start()
	b.eventually("b is a member again", func() bool {
		st, err := b.client.ClusterStatus(t.Context(), admin.ClusterStatusRequest{})
		return err == nil && st.State == "member" && st.Name == "ap-tokyo-a-1" && st.Leader == 1
	})
}

func flip(s string) string {
	if s == "A" {
		return "B"
	}
	return "A"
}

// TestOperate does what operators do, at a voter and at a router that is none.
func TestOperate(t *testing.T) {
	a, b := newTestCluster(t)
	if _, err := b.client.BucketCreate(t.Context(), admin.BucketCreateRequest{Name: "models", Change: admin.Change{Reason: "weights"}}); err != nil {
		t.Fatal(err)
	}
	_, err := a.client.BucketCreate(t.Context(), admin.BucketCreateRequest{Name: "models"})
	refuses(t, "a bucket twice", err, admin.CodeConflict, "exists already")
	_, err = a.client.BucketCreate(t.Context(), admin.BucketCreateRequest{Name: "Models_"})
	refuses(t, "a name that S3 forbids", err, admin.CodeInvalid, "not allowed")
	if list, err := a.client.BucketList(t.Context(), admin.BucketListRequest{}); err != nil || len(list.Buckets) != 1 || list.Buckets[0].Objects != 0 {
		t.Errorf("buckets %+v, %v", list, err)
	}

	// A key is made where it is asked for, and a voter seals it.
	key, err := b.client.KeyCreate(t.Context(), admin.KeyCreateRequest{Description: "loader", Change: admin.Change{Key: "once"}})
	if err != nil {
		t.Fatal(err)
	}
	v := a.current().getVault()
	s := a.current().consensus.View()
	if secret, err := v.open("key/"+key.ID, s.Sealed["key/"+key.ID]); err != nil {
		for name := range s.Sealed {
			t.Log("sealed:", name)
		}
		t.Errorf("the voter cannot open the secret: %v", err)
	} else if string(secret) != key.Secret {
		t.Error("the secret is another")
	}
	_, err = b.client.KeyCreate(t.Context(), admin.KeyCreateRequest{Change: admin.Change{Key: "once"}})
	refuses(t, "the same idempotency key again", err, admin.CodeConflict, "shown then")
	b.eventually("b has signing keys", func() bool {
		day := time.Now().UTC().Format(dayFormat)
		return b.current().signing.get(key.ID, day, "ap-tokyo") != nil || (signer{b.Control, b.current()}).try(t, key.ID, day)
	})
	if _, err := a.current().deriveFor(2, signingRequest{From: "20010101"}); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("keys for a day long ago: %v", err)
	}
	if _, err := a.current().deriveFor(2, signingRequest{From: "tomorrow\n"}); err == nil {
		t.Error("keys for no day")
	}
	if _, err := b.current().deriveFor(1, signingRequest{From: "20010101"}); err == nil || !strings.Contains(err.Error(), "not a voter") {
		t.Errorf("keys of a router that is no voter: %v", err)
	}

	// Policies are all or none.
	good := object.Policy{Name: "w", Bucket: "models", From: object.RegionSet{Names: regionList("cn-hangzhou")}, To: object.RegionSet{All: true}}
	loop, mars := good, good
	loop.Name, loop.To = "loop", object.RegionSet{Names: regionList("cn-hangzhou")}
	mars.Name, mars.To = "mars", object.RegionSet{Names: regionList("mars")}
	_, err = a.client.PolicyApply(t.Context(), admin.PolicyApplyRequest{Policies: []object.Policy{good, loop}})
	refuses(t, "a policy that loops", err, admin.CodeInvalid, "loop")
	_, err = a.client.PolicyApply(t.Context(), admin.PolicyApplyRequest{Policies: []object.Policy{good, mars}})
	if err == nil || !strings.Contains(err.Error(), "galleon router list") {
		t.Errorf("an unknown region: %v", err)
	}
	if list, _ := a.client.PolicyList(t.Context(), admin.PolicyListRequest{}); len(list.Policies) != 0 {
		t.Errorf("half of it was applied: %+v", list)
	}
	for i, want := range []string{"created", "created", "unchanged"} {
		got, err := a.client.PolicyApply(t.Context(), admin.PolicyApplyRequest{Policies: []object.Policy{good}, DryRun: i == 0})
		if err != nil || got.Results[0].Outcome != want || !slices.Equal(got.Results[0].Targets, regionList("ap-tokyo")) {
			t.Errorf("apply %d: %+v, %v; want %s", i, got, err, want)
		}
	}
	_, err = a.client.BucketDelete(t.Context(), admin.BucketDeleteRequest{Name: "models"})
	if err == nil || !strings.Contains(err.Error(), "polic") {
		t.Errorf("delete a bucket with a policy: %v", err)
	}

	// The audit trail says who, through whom.
	if _, err := b.client.At("cn-hangzhou-a-1").PrefixGrant(t.Context(), admin.PrefixGrantRequest{Router: "ap-tokyo-a-1", Prefix: seg("10.4.0.0/24")[0]}); err != nil {
		t.Fatal(err)
	}
	_, err = a.client.PrefixGrant(t.Context(), admin.PrefixGrantRequest{Router: "cn-hangzhou-a-1", Prefix: seg("10.4.0.0/16")[0]})
	refuses(t, "a grant that overlaps", err, admin.CodeConflict, "10.4.0.0/24")
	b.eventually("b knows what a knows", func() bool {
		return b.current().consensus.View().Audit == a.current().consensus.View().Audit
	})
	trail, err := b.client.ClusterAudit(t.Context(), admin.ClusterAuditRequest{})
	if err != nil || !trail.Verified {
		t.Fatalf("audit: %+v, %v", trail, err)
	}
	authors := map[string]bool{}
	for _, e := range trail.Entries {
		authors[e.Author] = true
	}
	for _, want := range []string{"ana@cn-hangzhou-a-1", "ana@ap-tokyo-a-1", "ana@ap-tokyo-a-1 through cn-hangzhou-a-1"} {
		if !authors[want] {
			t.Errorf("no entry by %q, there are %v", want, authors)
		}
	}

	got, err := b.client.ClusterBackup(t.Context(), admin.ClusterBackupRequest{})
	if err != nil || got.Cluster != a.current().id.Cluster || len(got.Data) == 0 || got.Index == 0 {
		t.Errorf("backup: %d bytes at %d, %v", len(got.Data), got.Index, err)
	}
	if bytes.Contains(got.Data, []byte(key.Secret)) {
		t.Error("the backup has a secret in clear")
	}
	_, err = a.client.ClusterTransfer(t.Context(), admin.ClusterTransferRequest{To: "nobody"})
	refuses(t, "a transfer to nobody", err, admin.CodeNotFound, "router list")
	_, err = a.client.ClusterTransfer(t.Context(), admin.ClusterTransferRequest{})
	refuses(t, "a transfer by the only voter", err, admin.CodeConflict, "one voter only")
}

// try asks the signer as the object endpoint does.
func (s signer) try(t *testing.T, key, day string) bool {
	k, err := s.SigningKey(t.Context(), key, day, string(s.m.id.Region))
	return err == nil && k != nil
}

// TestOtherRouters asks one router about another: there, not there, not to be reached.
func TestOtherRouters(t *testing.T) {
	a, b := newTestCluster(t)
	_, err := a.client.At("nobody").LinkList(t.Context(), admin.LinkListRequest{})
	refuses(t, "a router that does not exist", err, admin.CodeNotFound, "galleon router list")
	for _, name := range []string{"ap-tokyo-a-1", "r2"} {
		if st, err := a.client.At(name).ClusterStatus(t.Context(), admin.ClusterStatusRequest{}); err != nil || st.Router != 2 {
			t.Errorf("the status of %s: %+v, %v", name, st, err)
		}
	}
	p, err := a.client.PathShow(t.Context(), admin.PathShowRequest{From: "ap-tokyo", To: "cn-hangzhou"})
	if err != nil || p.Why != "because" {
		t.Errorf("path from another router: %+v, %v", p, err)
	}
	_, err = a.client.PathShow(t.Context(), admin.PathShowRequest{From: "ap-tokyo", To: "mars"})
	refuses(t, "a path to nowhere", err, admin.CodeNotFound, "galleon router list")
	// What a router refuses arrives as it was said.
	_, err = a.client.At("ap-tokyo-a-1").ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "x", Zone: "x-a"})
	refuses(t, "init from afar", err, admin.CodeDenied, "the router's own machine")
	_, err = a.client.At("ap-tokyo-a-1").PathShow(t.Context(), admin.PathShowRequest{From: "ap-tokyo", To: "mars"})
	refuses(t, "a path to nowhere, asked afar", err, admin.CodeNotFound, "galleon router list")

	// A caller cannot smuggle in what routers say to each other.
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://galleon/v1/BucketCreate", strings.NewReader(`{"name":"smuggled","ack":"local"}`))
	req.Header.Set(admin.RouterHeader, "ap-tokyo-a-1")
	req.Header.Set(authorHeader, "root")
	req.Header.Set(s3Header, "1")
	req.Header["galleon-object-request"] = []string{"1"}
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", a.socket)
	}}}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	trail, err := a.client.ClusterAudit(t.Context(), admin.ClusterAuditRequest{Last: 1})
	if err != nil || trail.Entries[0].Author != "ana@cn-hangzhou-a-1 through ap-tokyo-a-1" {
		t.Errorf("the author is %+v, %v", trail.Entries, err)
	}

	b.stop()
	_, err = a.client.PathShow(t.Context(), admin.PathShowRequest{From: "ap-tokyo", To: "cn-hangzhou"})
	refuses(t, "a router that is away", err, admin.CodeUnavailable, "router ap-tokyo-a-1 does not answer")
	if err != nil && strings.Count(err.Error(), "\n") > 1 {
		t.Errorf("many lines: %v", err)
	}
	_, err = a.client.At("ap-tokyo-a-1").LinkList(t.Context(), admin.LinkListRequest{})
	refuses(t, "a router that is away, asked itself", err, admin.CodeUnavailable, "router ap-tokyo-a-1 does not answer")
}

func TestRevoke(t *testing.T) {
	a, b := newTestCluster(t)
	c := newTestRouter(t)
	if _, err := c.client.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: a.token(admin.TokenCreateRequest{Region: "eu-frankfurt", Zone: "eu-frankfurt-a"})}); err != nil {
		t.Fatal(err)
	}
	_, err := a.client.RouterRevoke(t.Context(), admin.RouterRevokeRequest{Router: "cn-hangzhou-a-1"})
	refuses(t, "the only voter", err, admin.CodeConflict, "only voter")
	_, err = a.client.RouterRevoke(t.Context(), admin.RouterRevokeRequest{Router: "ap-tokyo-a-1", Wait: -1})
	refuses(t, "a negative wait", err, admin.CodeInvalid, "want 0 to")
	b.stop() // it is away and does not hear of it
	got, err := c.client.RouterRevoke(t.Context(), admin.RouterRevokeRequest{Router: "ap-tokyo-a-1", Wait: 5 * time.Second})
	if err != nil || !slices.Equal(got.Enforced, []string{"cn-hangzhou-a-1", "eu-frankfurt-a-1"}) || got.Unreached != nil || got.NotAsked != nil {
		t.Errorf("revoke: %+v, %v", got, err)
	}
	_, err = a.client.RouterRevoke(t.Context(), admin.RouterRevokeRequest{Router: "ap-tokyo-a-1"})
	refuses(t, "again", err, admin.CodeConflict, "was revoked at")

	b.start()
	b.eventually("b is told", func() bool {
		st, err := b.client.ClusterStatus(t.Context(), admin.ClusterStatusRequest{})
		return err == nil && st.State == "revoked" && strings.Contains(st.Problem, "join it with a new token")
	})
	_, err = b.client.BucketCreate(t.Context(), admin.BucketCreateRequest{Name: "models"})
	refuses(t, "a change by a revoked router", err, admin.CodeDenied, "was revoked")

	got, err = a.client.RouterRevoke(t.Context(), admin.RouterRevokeRequest{Router: "eu-frankfurt-a-1"})
	if err != nil || !slices.Equal(got.Enforced, []string{"cn-hangzhou-a-1"}) || got.NotAsked != nil {
		t.Errorf("revoke without waiting: %+v, %v", got, err)
	}
	c.eventually("c is told", func() bool {
		st, err := c.client.ClusterStatus(t.Context(), admin.ClusterStatusRequest{})
		return err == nil && st.State == "revoked"
	})
}

// forged is a token with another prefix in it and all its checksums right.
func forged(t *testing.T, token string) string {
	t.Helper()
	k, err := keys.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	k.Prefixes = seg("10.99.0.0/24")
	return k.Encode()
}

func regionList(names ...topo.Region) []topo.Region { return names }
