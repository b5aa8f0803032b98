package s3

import (
	"net"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// name finds bucket, key and query in the request line. It cleans nothing.
func (c *call) name() (err error) {
	raw, rawQuery, _ := strings.Cut(c.r.RequestURI, "?")
	if !strings.HasPrefix(raw, "/") {
		// Absolute form: scheme and authority go, the Host header rules (net/http has made them one).
		_, rest, ok := strings.Cut(raw, "://")
		slash := strings.IndexByte(rest, '/')
		switch {
		case !ok:
			return refuse("InvalidURI")
		case slash < 0:
			raw = "/"
		default:
			raw = rest[slash:]
		}
	}
	if c.query, err = sigv4.ParseQuery(rawQuery); err != nil {
		return err
	}
	c.raw = raw
	path, err := sigv4.DecodePath(raw)
	if err != nil {
		return err
	}
	path = path[1:]
	if b := c.hostBucket(); b != "" {
		c.bucket, c.key = b, path
	} else {
		c.bucket, c.key, _ = strings.Cut(path, "/")
	}
	return nil
}

// hostBucket gives the bucket of a virtual-host style request, or "".
func (c *call) hostBucket() string {
	host := c.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	for _, d := range c.h.cfg.Domains {
		if b, ok := strings.CutSuffix(host, "."+d); ok && b != "" {
			return b
		}
	}
	return ""
}

// checkNames refuses names that S3 forbids before any Backend sees them.
func (c *call) checkNames() error {
	if c.bucket != "" {
		if err := checkBucket(c.bucket); err != nil {
			return err
		}
	}
	if c.key != "" {
		return checkKey(c.key)
	}
	return nil
}

func checkBucket(b string) error {
	if err := object.CheckBucketName(b); err != nil {
		return refuse("InvalidBucketName").because(err)
	}
	return nil
}

func checkKey(k string) error {
	if len(k) > maxKeyBytes {
		return refuse("KeyTooLongError").with("Size", strconv.Itoa(len(k))).with("MaxSizeAllowed", strconv.Itoa(maxKeyBytes))
	}
	if err := object.CheckKey(k); err != nil {
		return badArgument("key", k, "%v", err)
	}
	return nil
}
