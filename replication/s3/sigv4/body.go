package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
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
			b.err = refuse("IncompleteBody", "the body is longer than the request said")
			return 0, b.err
		}
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.err = b.end()
	case errors.Is(err, io.ErrUnexpectedEOF):
		b.err = refuse("IncompleteBody", "the body ended before the length that the request said")
	default:
		b.err = err
	}
	return n, b.err
}

func (b *Body) end() error {
	if b.left > 0 {
		return refuse("IncompleteBody", "the body ended %d bytes before the length that the request said", b.left)
	}
	if b.sum != nil && subtle.ConstantTimeCompare(b.sum.Sum(nil), b.want[:]) != 1 {
		return refuse("XAmzContentSHA256Mismatch", "the body's SHA-256 is not the x-amz-content-sha256 that was signed")
	}
	return io.EOF
}
