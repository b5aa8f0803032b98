package world

import (
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/replication/object"
)

// TestARevokedRouterIsOutEverywhere puts a router out while it runs and is willing to stay.
func TestARevokedRouterIsOutEverywhere(t *testing.T) {
	t.Parallel()
	Run(t, func(w *World) {
		hangzhou := w.Found(Hangzhou)
		w.Join(Singapore, Tokyo, Frankfurt)
		tokyo, frankfurt := w.Site(Tokyo), w.Site(Frankfurt)
		w.Connected(Hangzhou, Singapore, Tokyo, Frankfurt)
		w.Key(hangzhou)
		bucket(w, hangzhou, "models", object.AckLocal)
		put(w, hangzhou, "models/before", 5)
		w.Replicated(tokyo, minute)
		w.Step("Tokyo is revoked; Frankfurt cannot hear of it", func() {
			w.Isolate(Frankfurt)
			w.Pass(time.Second)
			ctx, cancel := ask()
			defer cancel()
			r, err := hangzhou.Admin.RouterRevoke(ctx, admin.RouterRevokeRequest{Change: admin.Change{Reason: "stolen"}, Router: tokyo.Name, Wait: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			tokyo.Revoked = true
			if !slices.Equal(r.Enforced, names(hangzhou, w.Site(Singapore))) {
				t.Errorf("enforced by %v", r.Enforced)
			}
			if !slices.Equal(r.Unreached, names(frankfurt)) || r.CertExpires.IsZero() {
				t.Errorf("unreached: %v, the certificate ends %v", r.Unreached, r.CertExpires)
			}
		})
		w.Step("nobody who knows speaks with it", func() {
			w.Until(minute, "no packet passes to Tokyo or from it", func() bool {
				return w.Send(hangzhou, tokyo) == 0 && w.Send(tokyo, hangzhou) == 0 && w.Send(tokyo, w.Site(Singapore)) == 0
			})
			w.Until(minute, "no kernel leads its prefix into the overlay", func() bool {
				return !hangzhou.Routed(tokyo.Prefix) && !w.Site(Singapore).Routed(tokyo.Prefix)
			})
		})
		w.Step("Frankfurt comes back, and knows it too", func() {
			w.Rejoin(Frankfurt)
			w.Connected(Hangzhou, Singapore, Frankfurt)
			w.Until(minute, "Frankfurt has no route to Tokyo", func() bool { return !frankfurt.Routed(tokyo.Prefix) })
			if w.Send(frankfurt, tokyo) != 0 || w.Send(tokyo, frankfurt) != 0 {
				t.Error("packets pass between Frankfurt and Tokyo")
			}
		})
		w.Step("nothing that is written from now on comes to Tokyo", func() {
			put(w, hangzhou, "models/after", 5)
			w.Replicated(frankfurt, minute)
			w.Pass(minute)
			for name, e := range w.ledger.entries {
				if b, err := w.Get(tokyo, name); name >= "models/after" && name < "models/b" && err == nil && string(b) == string(e.body) {
					t.Errorf("%s is in Tokyo", name)
				}
			}
		})
		w.Step("it stays out after both its halves start again", func() {
			tokyo.CrashForward()
			tokyo.CrashControl()
			tokyo.StartForward()
			tokyo.StartControl()
			w.Pass(minute)
			if w.Send(hangzhou, tokyo) != 0 || w.Send(tokyo, hangzhou) != 0 {
				t.Error("packets pass between Hangzhou and Tokyo")
			}
		})
		w.Agree()
	})
}

func names(sites ...*Site) []string {
	var out []string
	for _, s := range sites {
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return out
}
