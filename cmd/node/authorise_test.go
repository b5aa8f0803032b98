package node

import (
	"strings"
	"testing"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
)

func TestMayPropose(t *testing.T) {
	bucket := state.Command{Author: "root@ap-tokyo-a-2", CreateBucket: &state.CreateBucket{}}
	as := func(author string, c state.Command) state.Command { c.Author = author; return c }
	for _, k := range []struct {
		what string
		from RouterID
		cmd  state.Command
		want string // empty: it may
	}{
		{"an operator's change", 3, bucket, ""},
		{"a change through it", 3, as("root@cn-hangzhou-a-1 through ap-tokyo-a-2", bucket), ""},
		{"a join at it", 3, as("token k3x at ap-tokyo-a-2", state.Command{Join: &state.Join{}}), ""},
		{"its own endpoints", 3, as("ap-tokyo-a-2", state.Command{UpdateRouter: &state.UpdateRouter{ID: 3}}), ""},
		{"another's endpoints", 3, as("ap-tokyo-a-2", state.Command{UpdateRouter: &state.UpdateRouter{ID: 1}}), "may not speak for router r1"},
		{"another's name", 3, as("root@cn-hangzhou-a-1", bucket), "in the name of"},
		{"a name that ends like its own", 3, as("root@xap-tokyo-a-2", bucket), "in the name of"},
		{"no name", 3, as("", bucket), "in the name of"},
		{"voters", 3, as("ap-tokyo-a-2", state.Command{SetMembers: &state.SetMembers{}}), "not a voter"},
		{"owners", 3, as("ap-tokyo-a-2", state.Command{SetOwner: &state.SetOwner{}}), "not a voter"},
		{"the feature level", 3, as("ap-tokyo-a-2", state.Command{SetFeature: &state.SetFeature{}}), "not a voter"},
		{"voters by a voter", 1, as("cn-hangzhou-a-1", state.Command{SetMembers: &state.SetMembers{}}), ""},
		{"another cluster", 1, as("cn-hangzhou-a-1", state.Command{Init: &state.Init{}}), "exists already"},
		{"a revoked router", 2, as("root@ap-tokyo-a-1", bucket), "not in the catalog, or revoked"},
		{"a stranger", 9, bucket, "not in the catalog, or revoked"},
	} {
		err := mayPropose(threeRouters(), k.from, k.cmd)
		if k.want == "" && err != nil || k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)) {
			t.Errorf("%s: %v, want %q", k.what, err, k.want)
		}
	}
}

func TestAuthor(t *testing.T) {
	for _, k := range []struct {
		caller admin.Caller
		want   string
	}{
		{admin.Caller{Name: "ana"}, "ana@ap-tokyo-a-2"},
		{admin.Caller{Name: "ana@cn-hangzhou-a-1", Router: 1}, "ana@cn-hangzhou-a-1 through ap-tokyo-a-2"},
	} {
		got := author(admin.WithCaller(t.Context(), k.caller), "ap-tokyo-a-2")
		if got != k.want || !saidBy(got, "ap-tokyo-a-2") {
			t.Errorf("%+v: %q, want %q", k.caller, got, k.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"abc": "abc", "": "", "a\nb\x1b[31m": "a?b?[31m", strings.Repeat("x", 99): strings.Repeat("x", 32),
	} {
		if got := printable(in); len(got) != len(want) || got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
