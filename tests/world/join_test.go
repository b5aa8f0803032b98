package world

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
)

// TestOpenARegion is the first of the two story tests: a region that opens while the others run, with one
// token and nothing else, and a second zone in a region that exists.
func TestOpenARegion(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		w.Step("four regions form a cluster", func() {
			w.Found(Hangzhou)
			w.Join(Singapore, Tokyo, Frankfurt)
			w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt)
			w.Agree()
		})
		w.Step("Mexico opens with one token", func() {
			w.Join(Queretaro)
			w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt, Queretaro)
			w.Agree()
		})
		w.Step("Bangkok opens, and then its second zone", func() {
			w.Join(BangkokA)
			w.Join(BangkokB)
			w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt, Queretaro, BangkokA, BangkokB)
			w.Agree()
		})
		w.Step("every router measures every link as the table has it", func() { everyLink(w) })
		w.Step("the trail of what was done is whole, and says who did it", func() {
			ctx, cancel := ask()
			defer cancel()
			r, err := w.Site(Queretaro).Admin.ClusterAudit(ctx, admin.ClusterAuditRequest{})
			if err != nil || !r.Verified {
				t.Fatalf("audit: %v, %q", err, r.Problem)
			}
			joins := 0
			for _, e := range r.Entries {
				if strings.HasPrefix(e.Author, "token ") {
					joins++
				}
			}
			if joins != 6 {
				t.Errorf("the trail has %d joins by token, want 6", joins)
			}
		})
	})
}

// everyLink compares what the routers measure with the round-trip times that the world was made of.
func everyLink(w *World) {
	w.T.Helper()
	byName := map[string]*Site{}
	for _, s := range w.Members() {
		byName[s.Name] = s
	}
	for _, s := range w.Members() {
		odd := ""
		w.Within(minute, func() bool {
			ctx, cancel := ask()
			defer cancel()
			r, err := s.Admin.LinkList(ctx, admin.LinkListRequest{})
			odd = fmt.Sprintf("%d links, want %d, %v", len(r.Links), len(byName)-1, err)
			if err != nil || len(r.Links) != len(byName)-1 {
				return false
			}
			for _, l := range r.Links {
				if off := l.RTT - rtt(s.Zone, byName[l.To].Zone); l.State != "up" || off.Abs() > 5*time.Millisecond {
					odd = fmt.Sprintf("the link to %s is %s with a round-trip time of %s, off by %s", l.To, l.State, l.RTT, off)
					return false
				}
			}
			odd = ""
			return true
		})
		if odd != "" {
			w.T.Errorf("at %s: %s", s.Name, odd)
		}
	}
}

// TestTokensThatAreNotGood tries every way to come in that is not one.
func TestTokensThatAreNotGood(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		founder := w.Found(Hangzhou)
		tokyo, frankfurt := w.Open(Tokyo), w.Open(Frankfurt)
		refuse := func(s *Site, token, why string) {
			t.Helper()
			err := s.Join(token)
			var e *admin.Error
			if !errors.As(err, &e) {
				t.Fatalf("join with a token that is %s: got %v, want a refusal", why, err)
			}
			if !strings.Contains(e.Message, why) {
				t.Errorf("the refusal of a token that is %s says: %s", why, e.Message)
			}
			if e.Code != admin.CodeDenied && e.Code != admin.CodeConflict {
				t.Errorf("the refusal of a token that is %s has code %s", why, e.Code)
			}
			if s.ID != 0 {
				t.Errorf("%s joined as %s", s.Zone, s.ID)
			}
		}
		token := w.Token(founder, tokyo)
		w.Step("a token with one letter changed is refused", func() {
			for _, at := range []int{len("glt1.") + 3, len(token) / 2, len(token) - 2} {
				letter := byte('A')
				if token[at] == letter {
					letter = 'B'
				}
				refuse(tokyo, token[:at]+string(letter)+token[at+1:], "altered")
			}
		})
		w.Step("a token that lost its end is refused", func() {
			if err := tokyo.Join(token[:len(token)/2]); err == nil {
				t.Error("half a token was taken")
			}
		})
		w.Step("the token itself is good", func() {
			if err := tokyo.Join(token); err != nil {
				t.Fatal(err)
			}
		})
		w.Step("it is good once", func() { refuse(frankfurt, token, "used") })
		late := w.Token(founder, frankfurt)
		w.Step("an hour later a token has expired", func() {
			w.Pass(time.Hour + time.Second)
			refuse(frankfurt, late, "expired")
		})
		w.Step("a token whose clock was turned back with the joiner's is refused by the cluster", func() {
			// The joiner's own check is a courtesy; what counts is the catalog's. Here the token was taken back.
			ctx, cancel := ask()
			defer cancel()
			r, err := founder.Admin.TokenCreate(ctx, admin.TokenCreateRequest{Region: frankfurt.Region, Zone: frankfurt.Zone, Prefixes: []topo.SegPrefix{frankfurt.Prefix}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := founder.Admin.TokenDelete(ctx, admin.TokenDeleteRequest{ID: r.ID}); err != nil {
				t.Fatal(err)
			}
			if err := frankfurt.Join(r.Token); err == nil {
				t.Error("a token that was taken back was good")
			}
		})
		w.Step("a fresh one is good, and the world is whole", func() {
			if err := frankfurt.Join(w.Token(founder, frankfurt)); err != nil {
				t.Fatal(err)
			}
			w.Connected(Hangzhou, Tokyo, Frankfurt)
			w.Agree()
		})
	})
}
