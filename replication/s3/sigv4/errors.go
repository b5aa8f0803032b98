package sigv4

import "fmt"

// Error is a refusal, with the S3 error code that a client expects for it. Messages are the ones that S3 is known
// to give, since there are clients that look at them.
type Error struct {
	Code    string
	Message string
	// Region is set when the client signed for another region: it may sign again for this one.
	Region string
	// Details are further elements of S3's answer: name and value.
	Details [][2]string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// with adds a detail.
func (e *Error) with(name, value string) *Error {
	e.Details = append(e.Details, [2]string{name, value})
	return e
}

func malformed(format string, args ...any) *Error {
	return refuse("AuthorizationHeaderMalformed", "The authorization header is malformed; "+format, args...)
}

func malformedQuery(format string, args ...any) *Error {
	return refuse("AuthorizationQueryParametersError", format, args...)
}

func malformedQueryCredential(format string, args ...any) *Error {
	return malformedQuery("Error parsing the X-Amz-Credential parameter; "+format, args...)
}

// incomplete is the answer to framing that is not what aws-chunked defines. Which rule was broken is not for the
// client to be told: S3 does not.
func incomplete() *Error { return refuse("IncompleteBody", "The request body terminated unexpectedly") }

func otherLength() *Error {
	return refuse("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

func badTrailer() *Error {
	return refuse("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}
