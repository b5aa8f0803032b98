package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// twice is an API of which only one call does anything.
type twice struct{ API }

func (twice) TokenDelete(_ context.Context, r TokenDeleteRequest) (Empty, error) {
	if r.ID == "" {
		return Empty{}, &Error{Code: CodeInvalid, Message: "no id", Hint: "galleon token list"}
	}
	if r.ID == "boom" {
		return Empty{}, errors.New("disk on fire")
	}
	return Empty{}, nil
}

func serveTest(t *testing.T, api API, authorise Authorise) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(Handler(api, authorise))
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return WithCaller(ctx, Caller{Name: "ana"})
	}
	s.Start()
	t.Cleanup(s.Close)
	c := NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
	t.Cleanup(c.Close)
	return c, s
}

// TestEveryMethodIsServed finds a call that the interface has and the table has not, and the other way round.
func TestEveryMethodIsServed(t *testing.T) {
	table := methods(&Client{})
	api := reflect.TypeFor[API]()
	for i := range api.NumMethod() {
		name := api.Method(i).Name
		if table[name] == nil {
			t.Errorf("%s is in the contract and is not served", name)
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("%s is served and is not in the contract", name)
	}
}

func TestCalls(t *testing.T) {
	var seen []string
	c, _ := serveTest(t, twice{}, func(_ context.Context, caller Caller, method string, request any) error {
		seen = append(seen, caller.Name+" "+method)
		if r, ok := request.(TokenDeleteRequest); ok && r.ID == "secret" {
			return &Error{Code: CodeDenied, Message: "no"}
		}
		return nil
	})
	if _, err := c.TokenDelete(t.Context(), TokenDeleteRequest{ID: "x"}); err != nil {
		t.Error(err)
	}
	for _, k := range []struct{ id, code, text string }{
		{"", CodeInvalid, "galleon token list"}, {"boom", CodeInternal, "disk on fire"}, {"secret", CodeDenied, "no"},
	} {
		_, err := c.TokenDelete(t.Context(), TokenDeleteRequest{ID: k.id})
		var e *Error
		if !errors.As(err, &e) || e.Code != k.code || !strings.Contains(e.Error(), k.text) {
			t.Errorf("id %q: got %v, want %s with %q", k.id, err, k.code, k.text)
		}
	}
	if len(seen) != 4 || seen[0] != "ana TokenDelete" {
		t.Errorf("authorised %v", seen)
	}
}

func TestBadRequests(t *testing.T) {
	_, s := serveTest(t, twice{}, func(context.Context, Caller, string, any) error { return nil })
	for _, k := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/TokenDelete", `{"id":"x"}`, 200},
		{"POST", "/v1/TokenDelete", `{"idd":"x"}`, 400},
		{"POST", "/v1/TokenDelete", `{"id":`, 400},
		{"GET", "/v1/TokenDelete", ``, 400},
		{"POST", "/v1/Nothing", `{}`, 404},
		{"POST", "/v2/TokenDelete", `{}`, 404},
		{"POST", "/v1/TokenDelete", `{"id":"` + strings.Repeat("x", maxBody) + `"}`, 400},
	} {
		req, _ := http.NewRequest(k.method, s.URL+k.path, strings.NewReader(k.body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != k.status {
			t.Errorf("%s %s %.40s: %d, want %d", k.method, k.path, k.body, resp.StatusCode, k.status)
		}
	}
}

func TestUnknownCallerIsRefused(t *testing.T) {
	s := httptest.NewServer(Handler(twice{}, func(context.Context, Caller, string, any) error { return nil }))
	defer s.Close()
	resp, err := http.Post(s.URL+"/v1/TokenDelete", "", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}
