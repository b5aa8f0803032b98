package sigv4

import (
	"encoding/hex"
	"strings"
)

// Payload is what the request says of its body.
type Payload struct {
	// Stated is the value that was signed.
	Stated string
	// Sum is the SHA-256 of the body when Exact.
	Sum   [32]byte
	Exact bool
	// Chunked bodies are framed as aws-chunked, Signed ones with signatures, Trailer ones with a trailer.
	Chunked, Signed, Trailer bool
}

const (
	unsignedPayload   = "UNSIGNED-PAYLOAD"
	streamingSigned   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	// streamingECDSA belongs to signature version 4A; its name is known and it is refused.
	streamingECDSA = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
)

// parsePayload knows five values and refuses all others.
func parsePayload(v string) (Payload, error) {
	p := Payload{Stated: v}
	switch v {
	case unsignedPayload:
	case streamingSigned:
		p.Chunked, p.Signed = true, true
	case streamingTrailer:
		p.Chunked, p.Signed, p.Trailer = true, true, true
	case streamingUnsigned:
		p.Chunked, p.Trailer = true, true
	default:
		if len(v) != 64 {
			return p, unknownPayload(v)
		}
		if n, err := hex.Decode(p.Sum[:], []byte(v)); err != nil || n != 32 {
			return p, unknownPayload(v)
		}
		p.Exact = true
	}
	return p, nil
}

func unknownPayload(v string) *Error {
	return refuse("InvalidArgument", "x-amz-content-sha256 must be %s, %s, %s, %s, %s, %s or a valid sha256 value.", unsignedPayload, streamingUnsigned,
		streamingSigned, streamingTrailer, streamingECDSA, streamingECDSA+"-TRAILER").with("ArgumentName", "x-amz-content-sha256").with("ArgumentValue", v)
}

// payload finds what the request says of its body and checks the headers that go with it.
func (a *Auth) payload(r Request) (err error) {
	v := r.Header.Get("X-Amz-Content-Sha256")
	if a.Presigned {
		q, inQuery := r.Query.Get("X-Amz-Content-Sha256")
		switch {
		case inQuery && v != "" && q != v:
			return malformedQuery("X-Amz-Content-Sha256 is in the query and in a header, and they differ")
		case inQuery:
			v = q
		case v == "":
			v = unsignedPayload
		}
	}
	if v == "" {
		return refuse("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	if a.Payload, err = parsePayload(v); err != nil {
		return err
	}
	a.decoded = r.ContentLength
	if !a.Payload.Chunked {
		return nil
	}
	return a.chunked(r)
}

// chunked reads the headers that go with aws-chunked framing.
func (a *Auth) chunked(r Request) error {
	var ok bool
	if a.decoded, ok = parseCount(r.Header.Get("X-Amz-Decoded-Content-Length")); !ok {
		return refuse("MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	return a.trailerName(r)
}

// trailerName reads x-amz-trailer: at most one name, and only a checksum's.
func (a *Auth) trailerName(r Request) error {
	name := strings.ToLower(strings.TrimSpace(r.Header.Get("X-Amz-Trailer")))
	switch {
	case name == "":
		return nil
	case !a.Payload.Trailer:
		return badTrailerName()
	case !strings.HasPrefix(name, "x-amz-checksum-") || strings.ContainsAny(name, ", ;:"):
		return badTrailerName()
	}
	a.trailer = name
	return nil
}

func badTrailerName() *Error {
	return refuse("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
}

// Size is the number of bytes in the body once it is decoded, -1 when the request does not say.
func (a *Auth) Size() int64 { return a.decoded }

// TrailerName is the checksum header that will come in the trailer, in lower case, or "".
func (a *Auth) TrailerName() string { return a.trailer }
