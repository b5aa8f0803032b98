// Package policy is the language of bucket policies: the JSON documents in which S3 says who may do what to a
// bucket and its objects ("Policies and permissions in Amazon S3", user guide). It is pure: a document is read once
// and checked whole, and a question about one action on one resource is answered from it.
//
//	{"Version": "2012-10-17",                   2008-10-17 where it is not there
//	 "Statement": [{
//	   "Effect":    "Allow",                    or Deny, which wins
//	   "Principal": "*",                        everybody; an access key; {"AWS": [...]}
//	   "Action":    ["s3:GetObject", "s3:List*"],
//	   "Resource":  "arn:aws:s3:::bucket/public/*",
//	   "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}]}
//
// What a document says and this package does not know is refused when the document is put, never passed over when
// a question is asked: a Deny whose condition nobody can judge would else deny nothing.
package policy
