package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// apiError is an answer that refuses: an S3 error code, which fixes the status, and a message for a
// person. cause is for the operator alone.
type apiError struct {
	Code    string
	Message string
	// Region, Bucket and Key are further elements of the answer where set.
	Region string
	cause  error
}

func (e *apiError) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *apiError) Unwrap() error { return e.cause }

func apiErr(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func notImplemented(what string) *apiError {
	return apiErr("NotImplemented", "%s: not implemented here", what)
}

// statuses has every code that this package answers with.
var statuses = map[string]int{
	"AccessControlListNotSupported": 400, "AccessDenied": 403, "AuthorizationHeaderMalformed": 400,
	"AuthorizationQueryParametersError": 400, "BadDigest": 400, "BucketAlreadyOwnedByYou": 409,
	"BucketNotEmpty": 409, "ConditionalRequestConflict": 409, "EntityTooLarge": 400, "EntityTooSmall": 400,
	"IllegalLocationConstraintException": 400, "IncompleteBody": 400, "InsufficientCapacity": 507,
	"InternalError": 500, "InvalidAccessKeyId": 403, "InvalidArgument": 400, "InvalidBucketName": 400,
	"InvalidDigest": 400, "InvalidEncodingMethod": 400, "InvalidPart": 400, "InvalidPartNumber": 416, "InvalidPartOrder": 400,
	"InvalidRange": 416, "InvalidRequest": 400, "InvalidStorageClass": 400, "InvalidToken": 400,
	"InvalidURI": 400, "KeyTooLongError": 400, "MalformedTrailerError": 400, "MalformedXML": 400,
	"MetadataTooLarge": 400, "MethodNotAllowed": 405, "MissingContentLength": 411, "MissingSecurityHeader": 400,
	"NoSuchBucket": 404, "NoSuchBucketPolicy": 404, "NoSuchCORSConfiguration": 404, "NoSuchKey": 404,
	"NoSuchLifecycleConfiguration": 404, "NoSuchTagSet": 404, "NoSuchUpload": 404, "NoSuchVersion": 404,
	"NoSuchWebsiteConfiguration": 404, "NotImplemented": 501, "ObjectLockConfigurationNotFoundError": 404,
	"OwnershipControlsNotFoundError": 404, "NoSuchPublicAccessBlockConfiguration": 404,
	"PreconditionFailed": 412, "ReplicationConfigurationNotFoundError": 404, "RequestTimeTooSkewed": 403,
	"RequestTimeout": 400, "ServerSideEncryptionConfigurationNotFoundError": 404, "ServiceUnavailable": 503,
	"SignatureDoesNotMatch": 403, "SlowDown": 503, "TooManyParts": 400, "XAmzContentSHA256Mismatch": 400,
}

func (e *apiError) status() int {
	if s, ok := statuses[e.Code]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// sentinels maps what a Backend says to what a client is told.
var sentinels = []struct {
	err           error
	code, message string
}{
	{ErrNoSuchBucket, "NoSuchBucket", "the bucket does not exist"},
	{ErrBucketExists, "BucketAlreadyOwnedByYou", "the bucket exists already"},
	{ErrBucketNotEmpty, "BucketNotEmpty", "the bucket is not empty: delete its objects, versions and uploads first"},
	{ErrNoSuchKey, "NoSuchKey", "the key does not exist"},
	{ErrNoSuchVersion, "NoSuchVersion", "the version does not exist"},
	{ErrNoSuchUpload, "NoSuchUpload", "the multipart upload does not exist: it was completed, aborted or never begun"},
	{ErrInvalidPart, "InvalidPart", "a part is missing or its ETag is not the one of the part that is stored"},
	{ErrPrecondition, "PreconditionFailed", "a condition of the request does not hold"},
	{ErrConflict, "ConditionalRequestConflict", "another write of the same key came between: try again"},
	{ErrNoSpace, "InsufficientCapacity", "no space left on this router's store: reads go on, writes do not; free space or add a disk"},
	{ErrAckPending, "ServiceUnavailable", "the object is written and synced here, but the bucket's acknowledgement class was not met in time: repeat the request, or lower the class with x-galleon-ack"},
	{ErrUnavailable, "ServiceUnavailable", "the bucket is not served here for the moment: try again"},
	{ErrClock, "ServiceUnavailable", "this router's clock is too far from the others' to date a write: set its clock"},
	{ErrNotSupported, "NotImplemented", "not supported here"},
	{ErrNoSuchAccessKey, "InvalidAccessKeyId", "the access key does not exist or was revoked"},
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
		return &apiError{Code: sig.Code, Message: sig.Message, Region: sig.Region}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return &apiError{Code: s.code, Message: s.message, cause: err}
		}
	}
	return &apiError{Code: "InternalError", Message: "an internal error: the router's log has it under this request's id", cause: err}
}
