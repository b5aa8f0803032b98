package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// listing is what all listings have in common: prefix, delimiter, limit and how names are written.
type listing struct {
	prefix, delimiter string
	limit             int
	encodeURL         bool
}

// afterGroup is behind every key that begins with p: no key has a byte 0xff, since keys are UTF-8.
func afterGroup(p string) string { return p + "\xff" }

func (c *call) listing(limitName string) (listing, error) {
	l := listing{limit: maxKeys}
	l.prefix, _ = c.query.Get("prefix")
	l.delimiter, _ = c.query.Get("delimiter")
	if s, ok := c.query.Get(limitName); ok && s != "" {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return l, badLimit(limitName, s)
		}
		l.limit = min(int(n), maxKeys)
	}
	switch e, ok := c.query.Get("encoding-type"); {
	case !ok || e == "":
	case e == "url":
		l.encodeURL = true
	default:
		return l, badArgument("encoding-type", e, "Invalid Encoding Method specified in Request")
	}
	if len(l.prefix) > maxKeyBytes || len(l.delimiter) > maxKeyBytes {
		return l, apiErr("InvalidArgument", "the prefix or delimiter has more than %d bytes", maxKeyBytes)
	}
	return l, nil
}

// badLimit refuses a bound on a listing, as S3 does.
func badLimit(name, value string) *apiError {
	if n, err := strconv.ParseInt(value, 10, 32); err == nil && n < 0 {
		return badArgument(name, value, "Argument %s must be an integer between 0 and 2147483647", value)
	}
	return badArgument(name, value, "Provided %s not an integer or within integer range", value)
}

// name writes a key in the encoding that the client asked for. XML cannot hold every key; a client that
// may meet such keys asks for URL encoding.
func (l listing) name(s string) string {
	if !l.encodeURL {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%2F", "/")
}

func (l listing) encodingType() string {
	if l.encodeURL {
		return "url"
	}
	return ""
}

// after turns a marker that is a common prefix of this listing into one behind its whole group.
func (l listing) after(marker string) string {
	rest, ok := strings.CutPrefix(marker, l.prefix)
	if ok && l.delimiter != "" && strings.Index(rest, l.delimiter) == len(rest)-len(l.delimiter) && len(rest) >= len(l.delimiter) {
		return afterGroup(marker)
	}
	return marker
}

// last gives the name that ends a page, and whether it is a version's key.
func (p ListPage) last() (name string, isKey bool) {
	if n := len(p.Versions); n > 0 {
		name, isKey = p.Versions[n-1].Key, true
	}
	if n := len(p.Prefixes); n > 0 && p.Prefixes[n-1] > name {
		return p.Prefixes[n-1], false
	}
	return name, isKey
}

type prefixXML struct{ Prefix string }

type objectXML struct {
	Key               string
	LastModified      string
	ETag              string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              int64
	StorageClass      string
	Owner             *ownerXML
}

type listXML struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string `xml:",omitempty"`
	Marker                *string
	NextMarker            string  `xml:",omitempty"`
	KeyCount              *int    // version 2
	ContinuationToken     *string // version 2
	NextContinuationToken string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []objectXML
	CommonPrefixes        []prefixXML
}

// listObjects serves versions 1 and 2 of the call, which differ in how a client says where to go on.
func (c *call) listObjects() error {
	l, err := c.listing("max-keys")
	if err != nil {
		return err
	}
	doc := listXML{
		Name: c.bucket, Prefix: l.name(l.prefix), Delimiter: l.name(l.delimiter), MaxKeys: l.limit, EncodingType: l.encodingType(),
	}
	kind, v2 := c.query.Get("list-type")
	if v2 && kind != "2" {
		return apiErr("InvalidArgument", "list-type must be 2")
	}
	withOwner := !v2
	var after string
	if v2 {
		if after, err = c.continueV2(l, &doc); err != nil {
			return err
		}
		fetch, _ := c.query.Get("fetch-owner")
		withOwner = fetch == "true"
	} else {
		marker, said := c.query.Get("marker")
		if said {
			named := l.name(marker)
			doc.Marker = &named
		}
		after = l.after(marker)
	}
	page, err := c.page(l, ListOptions{After: after})
	if err != nil {
		return err
	}
	for _, v := range page.Versions {
		x := objectXML{
			Key: l.name(v.Key), LastModified: timeXML(v.Modified), ETag: quote(v.ETag), Size: v.Size, StorageClass: "STANDARD",
		}
		x.ChecksumAlgorithm, x.ChecksumType = checksumLabels(v)
		if withOwner {
			x.Owner = &owner
		}
		doc.Contents = append(doc.Contents, x)
	}
	for _, p := range page.Prefixes {
		doc.CommonPrefixes = append(doc.CommonPrefixes, prefixXML{l.name(p)})
	}
	if doc.IsTruncated = page.More; page.More {
		name, isKey := page.last()
		switch {
		case !v2:
			doc.NextMarker = l.name(name)
		case isKey:
			doc.NextContinuationToken = encodeToken(name)
		default:
			doc.NextContinuationToken = encodeToken(afterGroup(name))
		}
	}
	if v2 {
		n := len(doc.Contents) + len(doc.CommonPrefixes)
		doc.KeyCount = &n
	}
	return c.writeXML(http.StatusOK, doc)
}

func (c *call) continueV2(l listing, doc *listXML) (after string, err error) {
	start, _ := c.query.Get("start-after")
	doc.StartAfter = l.name(start)
	token, ok := c.query.Get("continuation-token")
	if !ok {
		return l.after(start), nil
	}
	doc.ContinuationToken = &token
	return decodeToken(token)
}

// page asks the Backend, or answers for it when nothing is wanted.
func (c *call) page(l listing, o ListOptions) (ListPage, error) {
	if l.limit == 0 {
		_, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
		return ListPage{}, err
	}
	o.Prefix, o.Delimiter, o.Limit = l.prefix, l.delimiter, l.limit
	return c.h.cfg.Backend.ListObjects(c.ctx, c.bucket, o)
}

// A token is base64url of where the page ended: it means the same on every router of the region.
func encodeToken(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

func decodeToken(t string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil || len(b) == 0 || len(b) > maxKeyBytes+1 {
		return "", badArgument("continuation-token", t, "The continuation token provided is incorrect")
	}
	return string(b), nil
}

func checksumLabels(v object.Version) (algorithm, kind string) {
	for _, a := range algorithms {
		if s := v.Checksums[a.name]; s != "" {
			return a.name, checksumType(s)
		}
	}
	return "", ""
}
