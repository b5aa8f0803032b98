// Package s3 is the S3-compatible front door: it turns signed HTTP requests into calls of a Backend
// (buckets of the catalog, objects of the store) and their answers into what S3 clients expect.
//
// A request goes through the same steps, in one order, whatever it asks for:
//
//	limit      a bounded number of requests at a time, a least rate for bodies
//	name       bucket and key from the raw path, or the bucket from the host name; queries decoded once
//	verify     the signature, by sigv4, before anything looks at what is asked (handler.go)
//	route      method, level and subresource to one operation, default deny (routes.go)
//	authorise  Config.Authorize, once per object that is touched
//	forward    to the router that owns the bucket, the raw request as it came: it verifies again
//	serve      the operation, which reads the body, if at all, through one checked reader (body.go)
//
// The body's reader says io.EOF only after length, hash, chunk signatures and checksums hold, and a
// Backend makes nothing visible before io.EOF. So there is no way to write an unverified object that
// does not break that one rule.
//
// Object keys are opaque bytes to this package: they are never cleaned, joined or opened as paths.
//
// Chapters, a file each: tagging, lock (retention, holds), cors, lifecycle (its documents; the work is done by
// replication's Expirer), access (policies, public access block, what remains of ACLs), authorize (who may), form and
// postpolicy (browsers' uploads), setting (documents on buckets), codes (S3's error codes and messages), and one for
// each call on objects and uploads.
//
// Who does not sign is a stranger, let in where a bucket's policy says so and nowhere else. There is one account; every
// access key stands for it, and a policy's Deny binds keys too.
//
// What differs from AWS, on purpose: access control lists, websites, notifications, replication configurations,
// encryption by the store or with client keys, and request payment answer NotImplemented and are never ignored; a
// copy keeps the ETag of its source; a form lives as long as its policy says, whatever its x-amz-date; a key is
// bytes, and "..", "a//b" or a slash at its end mean nothing.
package s3
