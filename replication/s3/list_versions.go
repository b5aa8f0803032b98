package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

type versionXML struct {
	XMLName           xml.Name // Version or DeleteMarker
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      string
	ETag              string `xml:",omitempty"`
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              *int64
	StorageClass      string `xml:",omitempty"`
	Owner             ownerXML
}

type versionsXML struct {
	XMLName xml.Name `xml:"ListVersionsResult"`
	// Xmlns is an attribute, so that entries, which name themselves, are in the same name space.
	Xmlns               string `xml:"xmlns,attr"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int
	Delimiter           string `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Entries             []versionXML
	CommonPrefixes      []prefixXML
}

func (c *call) listVersions() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	if n := c.value("max-keys"); strings.HasPrefix(n, "-") {
		return badArgument("maxKeys", n, "max-keys cannot be negative")
	}
	l, err := c.listing("max-keys")
	if err != nil {
		return err
	}
	keyMarker, _ := c.query.Get("key-marker")
	versionMarker, _ := c.query.Get("version-id-marker")
	o := ListOptions{Versions: true, After: l.after(keyMarker)}
	if versionMarker != "" {
		if keyMarker == "" {
			return badArgument("version-id-marker", versionMarker, "A version-id marker cannot be specified without a key marker.")
		}
		if o.AfterVersion, err = ParseVersionID(versionMarker); err != nil {
			return err
		}
		if o.AfterVersion == object.NullVersion {
			v, err := c.h.cfg.Backend.GetVersion(c.ctx, c.bucket, keyMarker, object.NullVersion)
			switch {
			case errors.Is(err, ErrNoSuchVersion), errors.Is(err, ErrNoSuchKey):
			case err != nil:
				return err
			}
			o.AfterVersion = v.ID // zero: all of the key was before
		}
		if o.AfterVersion != (object.VersionID{}) {
			o.After = keyMarker
		}
	}
	page, err := c.page(l, o)
	if err != nil {
		return err
	}
	doc := versionsXML{
		Xmlns: xmlns, Name: c.bucket, Prefix: l.name(l.prefix), KeyMarker: l.name(keyMarker), VersionIDMarker: versionMarker,
		MaxKeys: l.limit, Delimiter: l.name(l.delimiter), EncodingType: l.encodingType(), IsTruncated: page.More,
	}
	previous := ""
	if o.AfterVersion != (object.VersionID{}) {
		previous = o.After // what remains of this key is not its latest version
	}
	for _, v := range page.Versions {
		doc.Entries = append(doc.Entries, versionEntry(l, b, v, v.Key != previous))
		previous = v.Key
	}
	for _, p := range page.Prefixes {
		doc.CommonPrefixes = append(doc.CommonPrefixes, prefixXML{l.name(p)})
	}
	if page.More {
		name, isKey := page.last()
		doc.NextKeyMarker = l.name(name)
		if isKey {
			doc.NextVersionIDMarker = versionName(b, page.Versions[len(page.Versions)-1])
		}
	}
	return c.writeXML(http.StatusOK, doc)
}

func versionEntry(l listing, b object.Bucket, v object.Version, latest bool) versionXML {
	x := versionXML{
		Key: l.name(v.Key), VersionID: versionName(b, v), IsLatest: latest, LastModified: timeXML(v.Modified), Owner: owner,
	}
	if v.DeleteMarker {
		x.XMLName.Local = "DeleteMarker"
		return x
	}
	x.XMLName.Local = "Version"
	x.ChecksumAlgorithm, x.ChecksumType = checksumLabels(v)
	x.ETag, x.Size, x.StorageClass = quote(v.ETag), &v.Size, "STANDARD"
	return x
}

type uploadXML struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	Initiator         ownerXML
	Owner             ownerXML
	StorageClass      string
	Initiated         string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

type uploadsXML struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Uploads            []uploadXML `xml:"Upload"`
	CommonPrefixes     []prefixXML
}

func (c *call) listUploads() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	l, err := c.listing("max-uploads")
	if err != nil {
		return err
	}
	key, _ := c.query.Get("key-marker")
	id, _ := c.query.Get("upload-id-marker")
	doc := uploadsXML{
		Bucket: c.bucket, KeyMarker: l.name(key), UploadIDMarker: id, Prefix: l.name(l.prefix), Delimiter: l.name(l.delimiter),
		EncodingType: l.encodingType(), MaxUploads: l.limit,
	}
	if id == "" {
		key = l.after(key)
	}
	for more := l.limit > 0; more; {
		var ups []Upload
		ups, more, err = c.h.cfg.Backend.ListUploads(c.ctx, c.bucket, l.prefix, key, id, l.limit)
		if err != nil {
			return err
		}
		for i, u := range ups {
			if len(doc.Uploads)+len(doc.CommonPrefixes) == l.limit {
				doc.IsTruncated = true
				return c.writeXML(http.StatusOK, doc)
			}
			group, rolled := l.group(u.Object.Key)
			if rolled {
				doc.CommonPrefixes = append(doc.CommonPrefixes, prefixXML{l.name(group)})
				doc.NextKeyMarker, doc.NextUploadIDMarker = l.name(group), ""
				key, id = afterGroup(group), ""
				more = more || i+1 < len(ups)
				break
			}
			doc.Uploads = append(doc.Uploads, uploadXML{
				Key: l.name(u.Object.Key), UploadID: u.ID, Initiator: owner, Owner: owner, StorageClass: "STANDARD",
				Initiated: timeXML(u.Initiated), ChecksumAlgorithm: u.Algorithm, ChecksumType: u.Type,
			})
			key, id = u.Object.Key, u.ID
			doc.NextKeyMarker, doc.NextUploadIDMarker = l.name(key), id
		}
		if len(ups) == 0 {
			break
		}
	}
	doc.NextKeyMarker, doc.NextUploadIDMarker = "", ""
	return c.writeXML(http.StatusOK, doc)
}

// group gives the common prefix that a key is rolled into.
func (l listing) group(key string) (string, bool) {
	if l.delimiter == "" {
		return "", false
	}
	rest := strings.TrimPrefix(key, l.prefix)
	i := strings.Index(rest, l.delimiter)
	if i < 0 {
		return "", false
	}
	return l.prefix + rest[:i+len(l.delimiter)], true
}
