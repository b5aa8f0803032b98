package replication

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A stream is a sequence of frames:
//
//	 0      1          2                     6
//	+------+----------+---------------------+----------------
//	| kind | encoding | length (big endian) | body
//	+------+----------+---------------------+----------------
//
// length is that of the body on the wire. Encoding 1 means that the body is one zstd frame, which states its
// size. Inside, the body is JSON, except that
//
//   - a batch is a 4-byte length, JSON of that length, and the chunk references of its versions one after the
//     other: 32 bytes of identity and 4 of size each;
//   - a want is chunk identities, 32 bytes each;
//   - chunks are each a 4-byte length and the bytes, in the order in which they were asked for; a chunk that the
//     source cannot give has the length 2^32-1 and no bytes.
//
// Unknown fields of JSON are skipped: a later version may add some under the same protocol number.
type frameKind byte

const (
	frameHello   frameKind = 1 // follower: who I am, under which rule, from where
	frameWelcome frameKind = 2 // source: from where it goes on
	frameRefuse  frameKind = 3 // source: why it does not
	frameBatch   frameKind = 4 // source: versions
	frameWant    frameKind = 5 // follower: chunks, please
	frameChunks  frameKind = 6 // source: here they are
	frameAck     frameKind = 7 // follower: a batch is applied
	framePing    frameKind = 8 // either: still here
	frameAgain   frameKind = 9 // follower: send these versions once more
)

const (
	// protocol is the version of all this.
	protocol = 1

	encodingPlain = 0
	encodingZstd  = 1

	frameHead = 6
	// maxControl bounds frames of JSON, in bytes.
	maxControl = 1 << 20
	// maxBatch bounds a batch: its last object may have 2 Mi chunks, 72 MiB of references, and each of its
	// versions 64 KiB of metadata.
	maxBatch = 128 << 20
	// chunkFrame is how many bytes of chunks go into one frame, about: what a break costs. maxChunks bounds it.
	chunkFrame = 256 << 10
	maxChunks  = chunkFrame + 256<<10
	// wantPart is how many chunks are asked for in one frame.
	wantPart = 256
	// unavailable marks a chunk that the source cannot give.
	unavailable = ^uint32(0)
)

// limit is how large a frame of a kind may be, on the wire and unpacked.
func (k frameKind) limit() int {
	switch k {
	case frameBatch:
		return maxBatch
	case frameChunks:
		return maxChunks
	case frameWant:
		return 32 * wantPart
	case frameHello, frameWelcome, frameRefuse, frameAck, framePing, frameAgain:
		return maxControl
	}
	return -1
}

// framer reads and writes frames on one stream. One goroutine may read while another writes.
type framer struct {
	r   *bufio.Reader
	w   *bufio.Writer
	enc *zstd.Encoder
	dec *zstd.Decoder
	buf []byte
	// received and sent count bytes of frames.
	received, sent int64
}

func newFramer(rw io.ReadWriter) (*framer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxBatch), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return &framer{r: bufio.NewReaderSize(rw, 32<<10), w: bufio.NewWriterSize(rw, 32<<10), enc: enc, dec: dec}, nil
}

func (f *framer) close() {
	f.dec.Close()
	_ = f.enc.Close()
}

// Bodies smaller than minCompress are not compressed; a buffer larger than keepBuffer is not kept.
const (
	minCompress = 256
	keepBuffer  = 2 << 20
)

// write sends one frame, compressed where that helps, and flushes.
func (f *framer) write(kind frameKind, body []byte) error {
	if len(body) > kind.limit() {
		return fmt.Errorf("frame of kind %d with %d bytes: want at most %d", kind, len(body), kind.limit())
	}
	encoding := byte(encodingPlain)
	if len(body) >= minCompress {
		packed := f.enc.EncodeAll(body, f.buf[:0])
		if f.buf = packed; cap(packed) > keepBuffer {
			f.buf = nil
		}
		if len(packed) < len(body)-len(body)/16 {
			body, encoding = packed, encodingZstd
		}
	}
	var head [frameHead]byte
	head[0], head[1] = byte(kind), encoding
	binary.BigEndian.PutUint32(head[2:], uint32(len(body)))
	f.sent += int64(frameHead + len(body))
	_, _ = f.w.Write(head[:]) // a bufio.Writer's error stays until Flush
	_, _ = f.w.Write(body)
	return f.w.Flush()
}

func (f *framer) writeJSON(kind frameKind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.write(kind, b)
}

// read takes the next frame, bounded before it is believed.
func (f *framer) read() (frameKind, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, n := frameKind(head[0]), int64(binary.BigEndian.Uint32(head[2:]))
	limit := kind.limit()
	if limit < 0 {
		return kind, nil, fmt.Errorf("frame of unknown kind %d", kind)
	}
	if n > int64(limit) {
		return kind, nil, fmt.Errorf("frame of kind %d with %d bytes: want at most %d", kind, n, limit)
	}
	// Grow with what arrives: a length is only a promise.
	body, err := io.ReadAll(io.LimitReader(f.r, n))
	if err != nil {
		return kind, nil, err
	}
	if int64(len(body)) != n {
		return kind, nil, io.ErrUnexpectedEOF
	}
	f.received += frameHead + n
	switch head[1] {
	case encodingPlain:
		return kind, body, nil
	case encodingZstd:
		body, err = f.unpack(body, limit)
		return kind, body, err
	}
	return kind, nil, fmt.Errorf("frame encoding %d is not known", head[1])
}

// unpack decompresses a body, having looked at the size that it states; a frame that holds more than it
// stated is an error.
func (f *framer) unpack(body []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(body); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize > uint64(limit) {
		return nil, fmt.Errorf("frame unpacks to %d bytes (stated: %t): want at most %d", h.FrameContentSize, h.HasFCS, limit)
	}
	// zstd makes at most 128 KiB out of 3 bytes of block header and one of content.
	if h.FrameContentSize > uint64(len(body))<<15 {
		return nil, errors.New("frame states more bytes than it can hold")
	}
	out, err := f.dec.DecodeAll(body, make([]byte, 0, h.FrameContentSize))
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	return out, nil
}

// readJSON takes a frame that must be of one kind; a refusal is an error.
func (f *framer) readJSON(kind frameKind, v any) error {
	got, body, err := f.read()
	if err != nil {
		return err
	}
	if got == frameRefuse {
		var r refuseBody
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		return &refusal{r.Why}
	}
	if got != kind {
		return fmt.Errorf("frame of kind %d, want %d", got, kind)
	}
	return json.Unmarshal(body, v)
}

// refusal is the other end's word for why it does not go on.
type refusal struct{ why string }

func (r *refusal) Error() string { return "refused: " + r.why }
