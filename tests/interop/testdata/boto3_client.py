"""Puts a tree into a bucket, gets it back, and tries what else boto3 users do."""
import io
import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

BUCKET = os.environ["BUCKET"]
PREFIX = "boto3/"
s3 = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], config=Config(s3={"addressing_style": "path"}))
parts = TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=5 << 20)


def put(tree):
    for dirpath, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(dirpath, name)
            key = PREFIX + os.path.relpath(path, tree)
            s3.upload_file(path, BUCKET, key, Config=parts, ExtraArgs={"Metadata": {"size": str(os.path.getsize(path))}})


def get(tree):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX, PaginationConfig={"PageSize": 3}):
        for o in page.get("Contents", []):
            path = os.path.join(tree, o["Key"][len(PREFIX):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            s3.download_file(BUCKET, o["Key"], path, Config=parts)
            head = s3.head_object(Bucket=BUCKET, Key=o["Key"])
            assert head["Metadata"]["size"] == str(o["Size"]), head


def expect(code, f, **kw):
    try:
        f(Bucket=BUCKET, **kw)
    except ClientError as e:
        assert e.response["Error"]["Code"] in code, e
        return
    raise AssertionError("expected %s" % (code,))


def more():
    key = "boto3-more"
    put = s3.put_object(Bucket=BUCKET, Key=key, Body=b"hello", ContentType="text/plain", CacheControl="no-cache")
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == b"hello" and got["ContentType"] == "text/plain" and got["ETag"] == put["ETag"], got
    assert s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=1-3")["Body"].read() == b"ell"
    try:
        expect(("PreconditionFailed", "412"), s3.put_object, Key=key, Body=b"x", IfNoneMatch="*")
    except ParamValidationError:
        pass  # this boto3 is older than conditional writes
    expect(("304", "NotModified"), s3.get_object, Key=key, IfNoneMatch=put["ETag"])
    s3.upload_fileobj(io.BytesIO(b"stream" * 1000), BUCKET, "boto3-stream")
    s3.copy_object(Bucket=BUCKET, Key="boto3-copy", CopySource={"Bucket": BUCKET, "Key": "boto3-stream"})
    assert s3.get_object(Bucket=BUCKET, Key="boto3-copy")["Body"].read() == b"stream" * 1000
    tops = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert {"Prefix": PREFIX} in tops["CommonPrefixes"], tops
    done = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in (key, "boto3-stream", "boto3-copy")]})
    assert len(done["Deleted"]) == 3, done
    expect(("NoSuchKey", "404"), s3.get_object, Key=key)
    expect(("NoSuchUpload",), s3.list_parts, Key=key, UploadId="nothing")


{"put": lambda: put(sys.argv[2]), "get": lambda: get(sys.argv[2]), "more": more}[sys.argv[1]]()
