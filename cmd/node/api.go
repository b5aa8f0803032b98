package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// ownHeaders begin the names of headers that routers say things to each other in.
const ownHeaders = "Galleon-"

// authorHeader carries the account on whose behalf a router passes an admin call on.
const authorHeader = ownHeaders + "Author"

// api is the admin API over a Control. Its methods are in api_*.go, by subject.
type api struct{ c *Control }

var _ admin.API = api{}

// adminHandler serves the API, and passes calls that are meant for another router on to it.
func (c *Control) adminHandler() http.Handler {
	here := admin.Handler(api{c}, c.authorise)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get(admin.RouterHeader)
		if name == "" || peerOf(r.Context()) != 0 {
			here.ServeHTTP(w, r)
			return
		}
		m := c.current()
		if m == nil {
			here.ServeHTTP(w, r)
			return
		}
		to, ok := m.consensus.View().RouterByName(name)
		if !ok {
			admin.WriteError(w, noRouter(name))
			return
		}
		if to.ID == m.id.Router {
			here.ServeHTTP(w, r)
			return
		}
		caller, _ := admin.CallerOf(r.Context())
		(&httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: to.ID.String()})
				// What routers say to each other in headers, nobody else says through them.
				maps.DeleteFunc(p.Out.Header, func(name string, _ []string) bool { return strings.HasPrefix(name, ownHeaders) })
				p.Out.Header.Set(authorHeader, caller.Name)
			},
			Transport: c.peerTransport(to.ID),
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				admin.WriteError(w, noAnswer(to.Name, err))
			},
		}).ServeHTTP(w, r)
	})
}

// adminContext marks a local connection with the account at its other end.
func (c *Control) adminContext(ctx context.Context, conn net.Conn) context.Context {
	name := "local"
	if c.env.Caller != nil {
		name = c.env.Caller(conn)
	}
	return admin.WithCaller(ctx, admin.Caller{Name: name})
}

// change proposes a command on behalf of the caller.
func (a api) change(ctx context.Context, ch admin.Change, cmd state.Command) (state.Result, *member, error) {
	m, err := a.c.need()
	if err != nil {
		return state.Result{}, nil, err
	}
	cmd.Key, cmd.Author, cmd.Reason = ch.Key, author(ctx, m.id.Name), ch.Reason
	res, err := a.c.propose(ctx, m, cmd)
	return res, m, err
}

// router finds a live router by name or number.
func (a api) router(name string) (state.Router, *member, error) {
	m, err := a.c.need()
	if err != nil {
		return state.Router{}, nil, err
	}
	s := m.consensus.View()
	r, ok := s.RouterByName(name)
	if !ok {
		for _, x := range s.Routers {
			if x.Revoked != nil && (x.Name == name || x.ID.String() == name) {
				return r, nil, &admin.Error{Code: admin.CodeConflict, Message: fmt.Sprintf("router %s was revoked at %s", x.Name, x.Revoked.Time.UTC().Format(time.RFC3339))}
			}
		}
		return r, nil, noRouter(name)
	}
	return r, m, nil
}

// place finds a router by its name, its number, or the region or zone that it is in: the region's owner first.
func place(s *state.State, name string) (state.Router, error) {
	if r, ok := s.RouterByName(name); ok {
		return r, nil
	}
	if o, ok := s.Owners[topo.Region(name)]; ok && o.Router != 0 {
		return s.Routers[o.Router], nil
	}
	for _, r := range s.Live() {
		if string(r.Region) == name || string(r.Zone) == name {
			return r, nil
		}
	}
	return state.Router{}, &admin.Error{Code: admin.CodeNotFound, Message: fmt.Sprintf("%q is no region, zone or router of this cluster", name), Hint: "galleon router list shows them"}
}

func noRouter(name string) error {
	return &admin.Error{Code: admin.CodeNotFound, Message: fmt.Sprintf("router %q does not exist", name), Hint: "galleon router list shows those that do"}
}

func noAnswer(name string, err error) error {
	return &admin.Error{
		Code: admin.CodeUnavailable, Message: fmt.Sprintf("router %s does not answer: %s", name, strings.ReplaceAll(err.Error(), "\n", "; ")),
		Hint: "galleon router list shows how it is reached from here",
	}
}

func nameOf(s *state.State, id topo.RouterID) string {
	if r, ok := s.Routers[id]; ok {
		return r.Name
	}
	return id.String()
}
