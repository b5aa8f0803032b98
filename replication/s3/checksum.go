package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"
)

// checksumAlgorithm is one of S3's additional checksums.
type checksumAlgorithm struct {
	// name is upper case, as in documents and in object.Version.Checksums.
	name string
	size int
	new  func() hash.Hash
	// poly is the reflected polynomial of a CRC, whose sums over parts can be joined; 0 otherwise.
	poly uint64
	// composite says that the default over parts is a checksum of checksums.
	composite bool
}

// header gives the name of the request and response header.
func (a *checksumAlgorithm) header() string { return "x-amz-checksum-" + strings.ToLower(a.name) }

var algorithms = []*checksumAlgorithm{
	{name: "CRC32", size: 4, new: func() hash.Hash { return crc32.NewIEEE() }, poly: crc32.IEEE, composite: true},
	{name: "CRC32C", size: 4, new: func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }, poly: crc32.Castagnoli, composite: true},
	{name: "CRC64NVME", size: 8, new: func() hash.Hash { return crc64nvme.New() }, poly: nvmePoly},
	{name: "SHA1", size: 20, new: sha1.New, composite: true},
	{name: "SHA256", size: 32, new: sha256.New, composite: true},
	{name: "SHA512", size: 64, new: sha512.New, composite: true},
	{name: "MD5", size: 16, new: md5.New, composite: true},
	{name: "XXHASH64", size: 8, new: func() hash.Hash { return xxhash.New() }, composite: true},
	{name: "XXHASH3", size: 8, new: func() hash.Hash { return xxh3.New() }, composite: true},
	{name: "XXHASH128", size: 16, new: func() hash.Hash { return xxh3.New128() }, composite: true},
}

// defaultAlgorithm is computed when a client names none, as AWS does: it is the cheapest, and the sums
// of parts can be joined.
var defaultAlgorithm = algorithms[2]

const (
	composite  = "COMPOSITE"
	fullObject = "FULL_OBJECT"
)

func findAlgorithm(name string) *checksumAlgorithm {
	for _, a := range algorithms {
		if strings.EqualFold(a.name, name) {
			return a
		}
	}
	return nil
}

// statedChecksum finds the one checksum that a request states. value is empty when it will come in the
// trailer; the algorithm is nil when there is none.
func statedChecksum(h http.Header, trailer string) (a *checksumAlgorithm, value string, err error) {
	for name, v := range h {
		alg, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-checksum-")
		if !ok || alg == "algorithm" || alg == "type" || alg == "mode" {
			continue
		}
		if a != nil || trailer != "" {
			return nil, "", apiErr("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if a = findAlgorithm(alg); a == nil {
			return nil, "", apiErr("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
		}
		value = v[0]
	}
	if trailer != "" {
		if a = findAlgorithm(strings.TrimPrefix(trailer, "x-amz-checksum-")); a == nil {
			return nil, "", apiErr("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
		}
	}
	if sdk := h.Get("X-Amz-Sdk-Checksum-Algorithm"); sdk != "" {
		named := findAlgorithm(sdk)
		switch {
		case named == nil:
			return nil, "", badChecksum("x-amz-sdk-checksum-algorithm")
		case a != nil && a != named:
			return nil, "", badChecksum("x-amz-sdk-checksum-algorithm")
		}
	}
	if a != nil && trailer == "" && !a.wellFormed(value) {
		return nil, "", badChecksum(a.header())
	}
	return a, value, nil
}

// badChecksum refuses a checksum header's value.
func badChecksum(header string) *apiError {
	return apiErr("InvalidRequest", "Value for %s header is invalid.", header)
}

// otherChecksum says that bytes have another checksum than was stated.
func (a *checksumAlgorithm) otherChecksum() *apiError {
	return apiErr("BadDigest", "The %s you specified did not match the calculated checksum.", a.name)
}

// unknownAlgorithm refuses the name of an algorithm.
func unknownAlgorithm() *apiError {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	slices.Sort(names)
	return apiErr("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [%s]", strings.Join(names, ", "))
}

func (a *checksumAlgorithm) wellFormed(v string) bool {
	b, err := base64.StdEncoding.DecodeString(v)
	return err == nil && len(b) == a.size
}

// checksumType says how a stored checksum was made over parts.
func checksumType(v string) string {
	if _, n, ok := strings.Cut(v, "-"); ok {
		if _, err := strconv.Atoi(n); err == nil {
			return composite
		}
	}
	return fullObject
}

// checksumHeaders shows an object's checksums.
func (c *call) checksumHeaders(sums map[string]string) {
	h := c.w.Header()
	for _, a := range algorithms {
		if v := sums[a.name]; v != "" {
			h[a.header()] = []string{v}
			h["x-amz-checksum-type"] = []string{checksumType(v)}
		}
	}
}
