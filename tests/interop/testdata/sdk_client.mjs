// Puts a tree into a bucket, or gets it, with Amazon's SDK for JavaScript as it comes: checksums in trailers, streams.
import { S3Client, PutObjectCommand, GetObjectCommand, paginateListObjectsV2 } from "@aws-sdk/client-s3";
import { readdirSync, readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const [what, dir] = process.argv.slice(2);
const Bucket = process.env.BUCKET;
const prefix = "sdk-js/";
const s3 = new S3Client({ endpoint: process.env.ENDPOINT, region: process.env.AWS_DEFAULT_REGION, forcePathStyle: true });

if (what === "put") {
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    await s3.send(new PutObjectCommand({ Bucket, Key: prefix + relative(dir, path), Body: readFileSync(path) }));
  }
} else {
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: prefix })) {
    for (const { Key } of page.Contents ?? []) {
      const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
      const path = join(dir, Key.slice(prefix.length));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, await got.Body.transformToByteArray());
    }
  }
}
