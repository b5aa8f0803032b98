package replication

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// A stream is a sequence of frames:
//
//	 0      1          2                     6
//	+------+----------+---------------------+----------------
//	| kind | encoding | length (big endian) | body
//	+------+----------+---------------------+----------------
//
// The body is JSON, or for chunks the bytes of chunks one after the other, each with a 4-byte length in
// front; encoding 1 means that it is a zstd frame. An unavailable chunk has the length 2^32-1 and no bytes.
type frameKind byte

const (
	frameHello   frameKind = 1
	frameWelcome frameKind = 2
	frameRefuse  frameKind = 3
	frameBatch   frameKind = 4
	frameWant    frameKind = 5
	frameChunks  frameKind = 6
	frameAck     frameKind = 7
	framePing    frameKind = 8
)

const (
	encodingPlain = 0
	encodingZstd  = 1

	frameHead = 6
	// maxFrame bounds a frame on the wire and maxBody what it may grow to, in bytes: the manifest of
	// an object of 90 GiB, or chunkFrame and one chunk.
	maxFrame = 64 << 20
	maxBody  = 64 << 20
	// chunkFrame is how many bytes of chunks go into one frame, about.
	chunkFrame = 1 << 20
	// unavailable marks a chunk that the source cannot give.
	unavailable = ^uint32(0)
	// protocol is the version of all this.
	protocol = 1
)

type helloBody struct {
	Protocol int    `json:"protocol"`
	Rule     string `json:"rule"`
	Hash     string `json:"hash"`
	Cursor   cursor `json:"cursor"`
}

type welcomeBody struct {
	Cursor cursor `json:"cursor"`
}

type refuseBody struct {
	Why string `json:"why"`
}

// wireReplica is a version with its chunks packed: 32 bytes of identity and 4 of size each.
type wireReplica struct {
	Replica store.Replica `json:"replica"`
	Chunks  []byte        `json:"chunks,omitempty"`
}

type batchBody struct {
	Replicas []wireReplica `json:"replicas,omitempty"`
	// Cursor is where the destination is when it has applied the batch.
	Cursor cursor `json:"cursor"`
}

type wantBody struct {
	// IDs are packed, 32 bytes each.
	IDs []byte `json:"ids"`
}

type ackBody struct {
	Cursor cursor `json:"cursor"`
}

const packedRef = 36

func packReplica(r store.Replica) wireReplica {
	w := wireReplica{Replica: r, Chunks: make([]byte, 0, packedRef*len(r.Version.Chunks))}
	for _, c := range r.Version.Chunks {
		w.Chunks = append(w.Chunks, c.ID[:]...)
		w.Chunks = binary.BigEndian.AppendUint32(w.Chunks, c.Size)
	}
	w.Replica.Version.Chunks = nil
	return w
}

func unpackReplica(w wireReplica) (store.Replica, error) {
	r := w.Replica
	if len(w.Chunks)%packedRef != 0 || len(r.Version.Chunks) != 0 {
		return r, fmt.Errorf("version %s/%s: chunk list of %d bytes", r.Version.Bucket, r.Version.Key, len(w.Chunks))
	}
	var total int64
	for b := w.Chunks; len(b) > 0; b = b[packedRef:] {
		ref := object.ChunkRef{ID: object.ChunkID(b[:32]), Size: binary.BigEndian.Uint32(b[32:])}
		total += int64(ref.Size)
		r.Version.Chunks = append(r.Version.Chunks, ref)
	}
	if total != r.Version.Size {
		return r, fmt.Errorf("version %s/%s: chunks of %d bytes for an object of %d", r.Version.Bucket, r.Version.Key, total, r.Version.Size)
	}
	return r, nil
}

// framer reads and writes frames on one stream. Reading and writing may be done by two goroutines.
type framer struct {
	r   *bufio.Reader
	w   *bufio.Writer
	enc *zstd.Encoder
	dec *zstd.Decoder
	buf []byte
	// wire counts bytes of frames in both directions.
	sent, received int64
}

func newFramer(rw io.ReadWriter) (*framer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		return nil, err
	}
	return &framer{r: bufio.NewReaderSize(rw, 64<<10), w: bufio.NewWriterSize(rw, 64<<10), enc: enc, dec: dec}, nil
}

func (f *framer) close() {
	f.dec.Close()
	_ = f.enc.Close()
}

// minCompress is the body size from which on compression is tried.
const minCompress = 256

// write sends one frame, compressed where that helps. It does not flush.
func (f *framer) write(kind frameKind, body []byte) error {
	encoding := byte(encodingPlain)
	if len(body) >= minCompress {
		if f.buf = f.enc.EncodeAll(body, f.buf[:0]); len(f.buf) < len(body)-len(body)/16 {
			body, encoding = f.buf, encodingZstd
		}
	}
	if len(body) > maxFrame {
		return fmt.Errorf("frame of %d bytes, at most %d", len(body), maxFrame)
	}
	var head [frameHead]byte
	head[0], head[1] = byte(kind), encoding
	binary.BigEndian.PutUint32(head[2:], uint32(len(body)))
	if _, err := f.w.Write(head[:]); err != nil {
		return err
	}
	_, err := f.w.Write(body)
	f.sent += int64(frameHead + len(body))
	return err
}

// writeJSON sends one frame and flushes.
func (f *framer) writeJSON(kind frameKind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxBody {
		return fmt.Errorf("message of %d bytes, at most %d", len(b), maxBody)
	}
	if err := f.write(kind, b); err != nil {
		return err
	}
	return f.w.Flush()
}

// read takes the next frame, bounded before it is believed.
func (f *framer) read() (frameKind, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[2:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes, at most %d", n, maxFrame)
	}
	// Grow with what arrives: a length is only a promise.
	body, err := io.ReadAll(io.LimitReader(f.r, int64(n)))
	if err != nil {
		return 0, nil, err
	}
	if len(body) != int(n) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	f.received += int64(frameHead + len(body))
	switch head[1] {
	case encodingPlain:
	case encodingZstd:
		if body, err = f.dec.DecodeAll(body, nil); err != nil {
			return 0, nil, fmt.Errorf("frame: %w", err)
		}
	default:
		return 0, nil, fmt.Errorf("frame encoding %d is not known", head[1])
	}
	return frameKind(head[0]), body, nil
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
