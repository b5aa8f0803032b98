package sigv4

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"
)

const (
	// maxLine bounds a chunk's or trailer's line, in bytes.
	maxLine = 512
	// maxTrailerLines bounds the lines of a trailer, blank ones included.
	maxTrailerLines = 4
	// minChunk is the least size of all chunks but the last, in bytes, as S3 has it.
	minChunk = 8 << 10
	// maxPeek bounds what is read of a chunk that is too long, in bytes.
	maxPeek = 64 << 10

	emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// chunkReader takes aws-chunked framing off. Bytes are handed out as they come; the signature of a chunk
// is checked at its end, before the next one is begun and so before io.EOF.
type chunkReader struct {
	r *bufio.Reader
	// left is what remains of the current chunk, total what may still come in all.
	left, total int64
	// number counts the chunks so far, size is that of the last.
	number     int
	size       int64
	signed     bool
	hasTrailer bool
	trailer    string // the announced name
	err        error

	key        []byte
	head       string // date and scope lines of the strings to sign
	previous   string // signature before the current one, hex
	signature  [32]byte
	stated     string // the current chunk's signature as stated, hex
	chunk      hash.Hash
	inChunk    bool
	trailerSum hash.Hash

	trailerValue string
}

func newChunkReader(a *Auth, key []byte, r io.Reader) *chunkReader {
	return &chunkReader{
		r: bufio.NewReaderSize(r, 32<<10), total: a.decoded,
		signed: a.Payload.Signed, hasTrailer: a.Payload.Trailer, trailer: a.trailer,
		key: key, head: a.Time.Format(timeForm) + "\n" + a.Credential.Scope() + "\n",
		previous: hex.EncodeToString(a.signature[:]), chunk: sha256.New(), trailerSum: sha256.New(),
	}
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !c.inChunk {
		if c.err = c.begin(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	if c.signed {
		c.chunk.Write(p[:n])
	}
	c.left -= int64(n)
	if err == nil && c.left == 0 {
		err = c.endChunk()
	}
	c.err = unexpected(err)
	return n, c.err
}

// begin reads a chunk's line, and with the last chunk all that follows it.
func (c *chunkReader) begin() error {
	line, err := c.line(true)
	if err != nil {
		return err
	}
	size, ext, hasExt := strings.Cut(line, ";")
	if c.left, err = chunkSize(size); err != nil {
		return err
	}
	if c.signed != hasExt {
		return incomplete()
	}
	if c.signed {
		hexSig, ok := strings.CutPrefix(ext, "chunk-signature=")
		if !ok || !decodeSignature(&c.signature, hexSig) {
			return incomplete()
		}
		c.stated = hexSig
	}
	if c.left > c.total {
		return c.tooLong()
	}
	c.total -= c.left
	if c.left == 0 {
		return c.finish()
	}
	if c.number > 0 && c.size < minChunk {
		return refuse("InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than %d bytes", minChunk).
			with("Chunk", strconv.Itoa(c.number)).with("BadChunkSize", strconv.FormatInt(c.size, 10))
	}
	c.number++
	c.size = c.left
	c.inChunk = true
	return nil
}

// tooLong says what is wrong with a chunk that has more bytes than the whole body should: the framing, where its
// size is not the one that it has, or the length that was stated. None of its bytes are handed out.
func (c *chunkReader) tooLong() error {
	if c.left <= maxPeek {
		if _, err := io.CopyN(io.Discard, c.r, c.left); err != nil {
			return unexpected(err)
		}
		var crlf [2]byte
		if _, err := io.ReadFull(c.r, crlf[:]); err != nil {
			return unexpected(err)
		}
		if crlf != [2]byte{'\r', '\n'} {
			return incomplete()
		}
	}
	return otherLength()
}

// finish checks the last chunk and reads the trailer. It gives io.EOF when all is well.
func (c *chunkReader) finish() error {
	if c.total > 0 {
		return otherLength()
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	// Some clients send one blank line more.
	var rest [3]byte
	n, err := io.ReadFull(c.r, rest[:])
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF && string(rest[:n]) == "\r\n":
		return io.EOF
	case err == nil || err == io.ErrUnexpectedEOF && n > 0:
		return incomplete()
	}
	return err
}

func (c *chunkReader) endChunk() error {
	c.inChunk = false
	var crlf [2]byte
	if _, err := io.ReadFull(c.r, crlf[:]); err != nil {
		return err
	}
	if crlf != [2]byte{'\r', '\n'} {
		return incomplete()
	}
	return c.checkChunk()
}

// checkChunk checks the signature of the chunk whose bytes have gone into c.chunk.
func (c *chunkReader) checkChunk() error {
	if !c.signed {
		return nil
	}
	want := mac(c.key, algorithm+"-PAYLOAD\n"+c.head+c.previous+"\n"+emptySum+"\n"+hex.EncodeToString(c.chunk.Sum(nil)))
	c.chunk.Reset()
	if !hmac.Equal(want, c.signature[:]) {
		return wrongSignature()
	}
	c.previous = c.stated
	return nil
}

// line reads a line and takes CR LF off, or LF alone where crlf does not insist.
func (c *chunkReader) line(crlf bool) (string, error) {
	b, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(b) > maxLine:
		return "", incomplete()
	case err != nil:
		return "", unexpected(err)
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	} else if crlf {
		return "", incomplete()
	}
	return string(b), nil
}

// chunkSize reads 1 to 15 hex digits that fit in an int64.
func chunkSize(s string) (int64, error) {
	if s == "" || len(s) > 15 {
		return 0, incomplete()
	}
	var n int64
	for i := 0; i < len(s); i++ {
		d := nibble(s[i])
		if d < 0 {
			return 0, incomplete()
		}
		n = n<<4 | int64(d)
	}
	return n, nil
}

// unexpected turns an end inside a chunk into what it is. finish alone says io.EOF, through begin.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
