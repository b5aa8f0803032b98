package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"io"

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
		return apiErr("BadDigest", "the Content-MD5 that the request stated is not the one of the body that arrived")
	}
	got := base64.StdEncoding.EncodeToString(b.sum.Sum(nil))
	want := b.want
	if b.trailer {
		if want = b.signed.Trailer(); !b.alg.wellFormed(want) {
			return apiErr("InvalidRequest", "the value of the trailer %s is not %d bytes in base64", b.alg.header(), b.alg.size)
		}
	}
	if want != "" && want != got {
		return apiErr("BadDigest", "the %s that the request stated is not the one of the body that arrived", b.alg.name)
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
		return nil, apiErr("InvalidRequest", "the checksum's algorithm is %s and the upload was opened with %s", alg.name, fallback.name)
	}
	b := &checkedBody{alg: alg, sum: alg.new(), want: want, trailer: c.auth.TrailerName() != ""}
	if v, ok := c.header["Content-Md5"]; ok {
		b.wantMD5, err = base64.StdEncoding.DecodeString(v[0])
		if err != nil || len(b.wantMD5) != md5.Size {
			return nil, apiErr("InvalidDigest", "Content-MD5 is not 16 bytes in base64")
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
		return 0, apiErr("MissingContentLength", "the request must state its Content-Length")
	case n > c.h.cfg.Limits.MaxPut:
		return 0, apiErr("EntityTooLarge", "the body has %d bytes and the most in one request is %d: use a multipart upload", n, c.h.cfg.Limits.MaxPut)
	}
	return n, nil
}

// readXML reads and verifies a whole small body and decodes it. Without a body v is left as it is if
// optional says so.
func (c *call) readXML(v any, most int64, optional bool) error {
	b, err := c.body(defaultAlgorithm, false)
	if err != nil {
		return err
	}
	if c.auth.Size() > most {
		return apiErr("EntityTooLarge", "the document has more than %d bytes", most)
	}
	raw, err := io.ReadAll(io.LimitReader(b, most+1))
	if err != nil {
		return err
	}
	if int64(len(raw)) > most {
		return apiErr("EntityTooLarge", "the document has more than %d bytes", most)
	}
	if len(bytes.TrimSpace(raw)) == 0 && optional {
		return nil
	}
	if err := xml.Unmarshal(raw, v); err != nil {
		return apiErr("MalformedXML", "the document is not what this operation takes: %v", err)
	}
	return nil
}
