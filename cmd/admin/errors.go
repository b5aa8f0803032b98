package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal or failure as the API says it.
type Error struct {
	// Code is one word for programs.
	Code string `json:"code"`
	// Message says what went wrong, and Hint what to do next.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + "\n  " + e.Hint
	}
	return e.Message
}

// The codes.
const (
	CodeInvalid     = "invalid"     // the request makes no sense
	CodeNotFound    = "not-found"   // it names what is not there
	CodeConflict    = "conflict"    // it contradicts what is there
	CodeDenied      = "denied"      // the caller may not have it
	CodeUnavailable = "unavailable" // it may work later: no leader, no path, not joined
	CodeUnknown     = "unknown"     // it may or may not have been done: ask again with the same key
	CodeInternal    = "internal"    // a fault of the daemon
)

var statusOf = map[string]int{
	CodeInvalid: http.StatusBadRequest, CodeNotFound: http.StatusNotFound, CodeConflict: http.StatusConflict,
	CodeDenied: http.StatusForbidden, CodeUnavailable: http.StatusServiceUnavailable,
	CodeUnknown: http.StatusGatewayTimeout, CodeInternal: http.StatusInternalServerError,
}

// refusal is how an Error travels.
type refusal struct {
	Error *Error `json:"error"`
}

// ReadError gives the refusal that a body of another status than 200 has, and otherwise says what it has instead.
func ReadError(status string, body []byte) error {
	var r refusal
	if json.Unmarshal(body, &r) != nil || r.Error == nil || r.Error.Message == "" {
		return fmt.Errorf("status %s: %.200q", status, body)
	}
	return r.Error
}

// asError gives any error its place in the API.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}
