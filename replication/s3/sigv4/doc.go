// Package sigv4 checks AWS Signature Version 4 as S3 uses it: who signed this request, and is this
// body the one that was signed. It has no I/O but the body's reader, no clock, and no secrets: keys
// come derived, worth one day in one region (Key).
//
// A request is signed in one of two places, and never in both:
//
//	Authorization: AWS4-HMAC-SHA256 Credential=AK/20261124/cn-hangzhou/s3/aws4_request,
//	               SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=<64 hex>
//	?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=...&X-Amz-Date=...&X-Amz-Expires=900
//	  &X-Amz-SignedHeaders=host&X-Amz-Signature=<64 hex>
//
// What is signed is the canonical request's SHA-256:
//
//	method \n encoded path \n sorted query \n name:value\n per signed header \n names \n payload
//
// The path is the one on the request line, decoded once and encoded once; it is never cleaned, since
// "a/../b" and "a//b" are keys like any other. The payload is one of
//
//	<64 hex>                                      SHA-256 of the body
//	UNSIGNED-PAYLOAD                              nothing is said of the body
//	STREAMING-AWS4-HMAC-SHA256-PAYLOAD            aws-chunked, each chunk signed
//	STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER    and a signed trailer
//	STREAMING-UNSIGNED-PAYLOAD-TRAILER            aws-chunked, unsigned, with a trailer
//
// and anything else is refused. An aws-chunked body is
//
//	<hex size>[;chunk-signature=<64 hex>] CRLF <size bytes> CRLF ... 0[;chunk-signature=...] CRLF
//	[x-amz-checksum-...:<value> CRLF] [x-amz-trailer-signature:<64 hex> CRLF] CRLF
//
// where each chunk's signature covers the one before, the first one the request's.
//
// The order of use is Parse, which checks all that needs no key; a look-up of the key; Verify; and then
// Body, whose reader says io.EOF only after the last byte was checked.
//
// Source: AWS, "Authenticating Requests (AWS Signature Version 4)" in the S3 API reference.
package sigv4
