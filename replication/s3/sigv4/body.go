package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// Body reads a request's body, decoded. It says io.EOF only when the body was verified as the request
// promised: length, SHA-256, chunk signatures, trailer signature. Any other error means that none of
// what was read may be used.
type Body struct {
	r io.Reader
	// chunks is set when r is a chunked reader, for its trailer.
	chunks *chunkReader
	// left counts down to the promised length; -1 when none was promised.
	left int64
	sum  hash.Hash // nil unless the payload is exact
	want [32]byte
	err  error
}

// Body gives the reader of the body of a request that was verified with key.
func (a *Auth) Body(key []byte, r io.Reader) *Body {
	b := &Body{r: r, left: a.decoded}
	switch {
	case a.Payload.Chunked:
		b.chunks = newChunkReader(a, key, r)
		b.r = b.chunks
	case a.Payload.Exact:
		b.sum, b.want = sha256.New(), a.Payload.Sum
	}
	return b
}

// Trailer gives the value of the announced trailer header. Valid after io.EOF.
func (b *Body) Trailer() string {
	if b.chunks == nil {
		return ""
	}
	return b.chunks.trailerValue
}

func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.err = otherLength()
			return 0, b.err
		}
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.err = b.end()
	case errors.Is(err, io.ErrUnexpectedEOF):
		b.err = incomplete()
	default:
		b.err = err
	}
	return n, b.err
}

func (b *Body) end() error {
	if b.left > 0 {
		return incomplete()
	}
	if b.sum != nil && subtle.ConstantTimeCompare(b.sum.Sum(nil), b.want[:]) != 1 {
		return refuse("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.").
			with("ClientComputedContentSHA256", hex.EncodeToString(b.want[:])).with("S3ComputedContentSHA256", hex.EncodeToString(b.sum.Sum(nil)))
	}
	return io.EOF
}
