package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// apiError is an answer that refuses: an S3 error code, which fixes the status, and a message for a
// person. cause is for the operator alone.
type apiError struct {
	Code    string
	Message string
	// Region is where the client should have asked, where that is the matter.
	Region string
	// details are further elements of the answer, name and value, as S3 has them for the code.
	details [][2]string
	// httpStatus is set for the few codes that come with more than one.
	httpStatus int
	cause      error
}

func (e *apiError) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *apiError) Unwrap() error { return e.cause }

// apiErr refuses with a message of its own.
func apiErr(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// refuse refuses with the message that S3 has for the code.
func refuse(code string) *apiError { return &apiError{Code: code, Message: codes[code].message} }

// with adds an element to the answer.
func (e *apiError) with(name, value string) *apiError {
	e.details = append(e.details, [2]string{name, value})
	return e
}

// because keeps what the operator should know.
func (e *apiError) because(cause error) *apiError {
	e.cause = cause
	return e
}

// badArgument names the argument that is wrong, as S3 does.
func badArgument(name, value, format string, args ...any) *apiError {
	return apiErr("InvalidArgument", format, args...).with("ArgumentName", name).with("ArgumentValue", value)
}

// notImplemented refuses what is not served, and says what that is.
func notImplemented(what string) *apiError {
	return apiErr("NotImplemented", "%s: not implemented here", what)
}

// sentinels maps what a Backend says to what a client is told; without a message it is the code's.
var sentinels = []struct {
	err           error
	code, message string
}{
	{ErrNoSuchBucket, "NoSuchBucket", ""},
	{ErrBucketExists, "BucketAlreadyOwnedByYou", ""},
	{ErrBucketNotEmpty, "BucketNotEmpty", ""},
	{ErrNoSuchKey, "NoSuchKey", ""},
	{ErrNoSuchVersion, "NoSuchVersion", ""},
	{ErrNoSuchUpload, "NoSuchUpload", ""},
	{ErrInvalidPart, "InvalidPart", ""},
	{ErrPrecondition, "PreconditionFailed", ""},
	{ErrConflict, "ConditionalRequestConflict", ""},
	{ErrProtected, "AccessDenied", "Access Denied because object protected by object lock."},
	{ErrBucketState, "InvalidBucketState", "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."},
	{ErrNoSpace, "InsufficientCapacity", ""},
	{ErrAckPending, "ServiceUnavailable", "the object is written and synced here, but the bucket's acknowledgement class was not met in time: repeat the request, or lower the class with x-galleon-ack"},
	{ErrUnavailable, "ServiceUnavailable", "the bucket is not served here for the moment: try again"},
	{ErrClock, "ServiceUnavailable", "this router's clock is too far from the others' to date a write: set its clock"},
	{ErrNotSupported, "NotImplemented", "not supported here"},
	{ErrNoSuchAccessKey, "InvalidAccessKeyId", ""},
	{context.DeadlineExceeded, "ServiceUnavailable", "the request took too long: try again"},
}

// asAPIError finds the answer in an error's chain; what it does not know is InternalError.
func asAPIError(err error) *apiError {
	var api *apiError
	if errors.As(err, &api) {
		return api
	}
	var sig *sigv4.Error
	if errors.As(err, &sig) {
		return &apiError{Code: sig.Code, Message: sig.Message, Region: sig.Region, details: sig.Details}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			e := refuse(s.code).because(err)
			if s.message != "" {
				e.Message = s.message
			}
			return e
		}
	}
	return refuse("InternalError").because(err)
}
