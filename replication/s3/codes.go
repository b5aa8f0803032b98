package s3

import "net/http"

// answerOf is what S3 says with an error code: its status, and the message that clients know it by. Where a refusal
// has more to say it says it instead.
type answerOf struct {
	status  int
	message string
}

const malformedXML = "The XML you provided was not well-formed or did not validate against our published schema."

// codes has every code that this package answers with.
var codes = map[string]answerOf{
	"AccessControlListNotSupported":                  {400, "The bucket does not allow ACLs."},
	"AccessDenied":                                   {403, "Access Denied."},
	"AccessForbidden":                                {403, "CORSResponse: CORS is not enabled for this bucket."},
	"AuthorizationHeaderMalformed":                   {400, "The authorization header is malformed."},
	"AuthorizationQueryParametersError":              {400, "The authorization query parameters are not well-formed."},
	"BadDigest":                                      {400, "The Content-MD5 you specified did not match what we received."},
	"BadRequest":                                     {400, "An error occurred when parsing the HTTP request."},
	"BucketAlreadyOwnedByYou":                        {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                                 {409, "The bucket you tried to delete is not empty."},
	"ConditionalRequestConflict":                     {409, "another write of the same key came between: try again"},
	"EntityTooLarge":                                 {400, "Your proposed upload exceeds the maximum allowed object size."},
	"EntityTooSmall":                                 {400, "Your proposed upload is smaller than the minimum allowed size"},
	"IncompleteBody":                                 {400, "The request body terminated unexpectedly"},
	"InsufficientCapacity":                           {507, "no space left on this router's store: reads go on, writes do not; free space or add a disk"},
	"InternalError":                                  {500, "We encountered an internal error, please try again."},
	"InvalidAccessKeyId":                             {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidArgument":                                {400, "Invalid Argument."},
	"InvalidBucketAclWithObjectOwnership":            {400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	"InvalidBucketName":                              {400, "The specified bucket is not valid."},
	"InvalidBucketState":                             {409, "The request is not valid for the current state of the bucket."},
	"InvalidChunkSizeError":                          {400, "Only the last chunk is allowed to have a size less than 8192 bytes"},
	"InvalidDigest":                                  {400, "The Content-Md5 you specified is not valid."},
	"InvalidLocationConstraint":                      {400, "The specified location-constraint is not valid"},
	"InvalidPart":                                    {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                              {416, "The requested partnumber is not satisfiable."},
	"InvalidPartOrder":                               {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidPolicyDocument":                          {400, "Invalid Policy."},
	"InvalidRange":                                   {416, "The requested range is not satisfiable"},
	"InvalidRedirectLocation":                        {400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."},
	"InvalidRequest":                                 {400, "Invalid Request."},
	"InvalidStorageClass":                            {400, "The storage class you specified is not valid"},
	"InvalidTag":                                     {400, "The tag provided was not a valid tag."},
	"InvalidToken":                                   {400, "The provided token is malformed or otherwise invalid."},
	"InvalidURI":                                     {400, "The specified URI couldn't be parsed."},
	"KeyTooLongError":                                {400, "Your key is too long."},
	"MalformedACLError":                              {400, malformedXML},
	"MalformedPolicy":                                {400, "Policies must be valid JSON and the first byte must be '{'"},
	"MalformedPOSTRequest":                           {400, "The body of your POST request is not well-formed multipart/form-data."},
	"MalformedTrailerError":                          {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	"MalformedXML":                                   {400, malformedXML},
	"MaxMessageLengthExceeded":                       {400, "Your request was too big."},
	"MetadataTooLarge":                               {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                               {405, "The specified method is not allowed against this resource."},
	"MissingContentLength":                           {411, "You must provide the Content-Length HTTP header."},
	"MissingRequestBodyError":                        {400, "Request Body is empty"},
	"MissingSecurityHeader":                          {400, "Your request was missing a required header."},
	"NoSuchBucket":                                   {404, "The specified bucket does not exist."},
	"NoSuchBucketPolicy":                             {404, "The bucket policy does not exist."},
	"NoSuchCORSConfiguration":                        {404, "The CORS configuration does not exist"},
	"NoSuchKey":                                      {404, "The specified key does not exist."},
	"NoSuchLifecycleConfiguration":                   {404, "The lifecycle configuration does not exist"},
	"NoSuchObjectLockConfiguration":                  {404, "The specified object does not have a ObjectLock configuration."},
	"NoSuchPublicAccessBlockConfiguration":           {404, "The public access block configuration was not found"},
	"NoSuchTagSet":                                   {404, "The TagSet does not exist."},
	"NoSuchUpload":                                   {404, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchVersion":                                  {404, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":                     {404, "The specified bucket does not have a website configuration"},
	"NotImplemented":                                 {501, "A header you provided implies functionality that is not implemented."},
	"ObjectLockConfigurationNotFoundError":           {404, "Object Lock configuration does not exist for this bucket."},
	"OwnershipControlsNotFoundError":                 {404, "The bucket ownership controls were not found."},
	"PreconditionFailed":                             {412, "At least one of the pre-conditions you specified did not hold."},
	"ReplicationConfigurationNotFoundError":          {404, "The replication configuration was not found"},
	"RequestTimeTooSkewed":                           {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":                                 {400, "Your socket connection to the server was not read from or written to within the timeout period."},
	"ServerSideEncryptionConfigurationNotFoundError": {404, "The server side encryption configuration was not found"},
	"ServiceUnavailable":                             {503, "Reduce your request rate."},
	"SignatureDoesNotMatch":                          {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                                       {503, "Please reduce your request rate."},
	"TooManyParts":                                   {400, "You have attempted to upload more parts than are allowed."},
	"UnexpectedContent":                              {400, "This request does not support content."},
	"XAmzContentSHA256Mismatch":                      {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}

func (e *apiError) status() int {
	if e.httpStatus != 0 {
		return e.httpStatus
	}
	if a, ok := codes[e.Code]; ok {
		return a.status
	}
	return http.StatusInternalServerError
}
