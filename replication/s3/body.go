package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"hash"
	"io"
	"strconv"

	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// checkedBody is the Body that a Backend reads: paced, decoded, its signature checked by sigv4, and
// here its MD5 and checksum.
type checkedBody struct {
	src io.Reader
	// signed is src when the body came off the wire, for its trailer.
	signed  *sigv4.Body
	md5     hash.Hash // nil unless the client stated one
	wantMD5 []byte
	alg     *checksumAlgorithm
	sum     hash.Hash
	want    string // base64; from the trailer when empty and fromTrailer
	trailer bool
	stated  bool // the client stated a checksum, here or in the trailer
	sums    map[string]string
	err     error
}

// Checksums implements Body.
func (b *checkedBody) Checksums() map[string]string { return b.sums }

// Read implements Body.
func (b *checkedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if b.md5 != nil {
		b.md5.Write(p[:n])
	}
	b.sum.Write(p[:n])
	if err == io.EOF {
		err = b.end()
	}
	b.err = err
	return n, err
}

// end gives io.EOF when all that the client stated holds.
func (b *checkedBody) end() error {
	if b.md5 != nil && subtle.ConstantTimeCompare(b.md5.Sum(nil), b.wantMD5) != 1 {
		return refuse("BadDigest").with("CalculatedDigest", base64.StdEncoding.EncodeToString(b.md5.Sum(nil))).
			with("ExpectedDigest", hex.EncodeToString(b.wantMD5))
	}
	got := base64.StdEncoding.EncodeToString(b.sum.Sum(nil))
	want := b.want
	if b.trailer {
		if want = b.signed.Trailer(); !b.alg.wellFormed(want) {
			return apiErr("InvalidRequest", "Value for %s trailing header is invalid.", b.alg.header())
		}
	}
	if want != "" && want != got {
		return b.alg.otherChecksum()
	}
	b.sums = map[string]string{b.alg.name: got}
	return io.EOF
}

// failed gives the body's own error when a Backend's came from it, however it wrapped it.
func (b *checkedBody) failed(err error) error {
	if err != nil && b.err != nil && b.err != io.EOF {
		return b.err
	}
	return err
}

// body opens the request's body. fallback is the algorithm to compute when the client states none;
// force refuses another one than fallback.
func (c *call) body(fallback *checksumAlgorithm, force bool) (*checkedBody, error) {
	alg, want, err := statedChecksum(c.header, c.auth.TrailerName())
	if err != nil {
		return nil, err
	}
	if alg == nil {
		alg = fallback
		if named := findAlgorithm(c.header.Get("X-Amz-Sdk-Checksum-Algorithm")); named != nil && !force {
			alg = named
		}
	} else if force && alg != fallback {
		return nil, apiErr("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", fallback.name, alg.name)
	}
	b := &checkedBody{alg: alg, sum: alg.new(), want: want, trailer: c.auth.TrailerName() != ""}
	b.stated = want != "" || b.trailer
	if v, ok := c.header["Content-Md5"]; ok {
		b.wantMD5, err = base64.StdEncoding.DecodeString(v[0])
		if err != nil || len(b.wantMD5) != md5.Size {
			return nil, refuse("InvalidDigest").with("Content-MD5", v[0])
		}
		b.md5 = md5.New()
	}
	b.signed = c.auth.Body(c.signingKey, c.paced)
	b.src = b.signed
	return b, nil
}

// size gives the decoded length of the body, which a PUT must state.
func (c *call) size() (int64, error) {
	n := c.auth.Size()
	switch {
	case n < 0 || n == 0 && c.header.Get("Content-Length") == "" && !c.auth.Payload.Chunked:
		return 0, refuse("MissingContentLength")
	case n > c.h.cfg.Limits.MaxPut:
		return 0, refuse("EntityTooLarge").with("ProposedSize", strconv.FormatInt(n, 10)).with("MaxSizeAllowed", strconv.FormatInt(c.h.cfg.Limits.MaxPut, 10))
	}
	return n, nil
}

// document reads and verifies a whole small body. required asks for a checksum of it, as S3 does where a document
// that is cut short would do harm.
func (c *call) document(most int64, required bool) ([]byte, error) {
	b, err := c.body(defaultAlgorithm, false)
	if err != nil {
		return nil, err
	}
	if required && b.md5 == nil && !b.stated {
		return nil, apiErr("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	tooLong := refuse("MaxMessageLengthExceeded").with("MaxMessageLengthBytes", strconv.FormatInt(most, 10))
	if c.auth.Size() > most {
		return nil, tooLong
	}
	raw, err := io.ReadAll(io.LimitReader(b, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, tooLong
	}
	return raw, nil
}

// readXML reads a document and decodes it. Without a body v is left as it is if optional says so.
func (c *call) readXML(v any, most int64, optional bool) error {
	raw, err := c.document(most, false)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 && optional {
		return err
	}
	return decodeXML(raw, v)
}

// decodeXML decodes a document that must be all of raw.
func decodeXML(raw []byte, v any) error {
	if err := xml.Unmarshal(raw, v); err != nil {
		return refuse("MalformedXML").because(err)
	}
	return nil
}
