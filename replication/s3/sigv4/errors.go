package sigv4

import "fmt"

// Error is a refusal, with the S3 error code that a client expects for it.
type Error struct {
	Code    string
	Message string
	// Region is set when the client signed for another region: it may sign again for this one.
	Region string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *Error {
	return refuse("AuthorizationHeaderMalformed", format, args...)
}

func malformedQuery(format string, args ...any) *Error {
	return refuse("AuthorizationQueryParametersError", format, args...)
}
