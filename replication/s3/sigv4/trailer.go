package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"strings"
)

const trailerSignature = "x-amz-trailer-signature"

// readTrailer reads what follows the last chunk: nothing but a blank line, or the announced checksum,
// signed where the chunks are. Clients disagree on CR LF and on a blank line before the signature.
func (c *chunkReader) readTrailer() error {
	got, signed := false, false
	for range maxTrailerLines {
		line, err := c.line(false)
		if err != nil {
			return err
		}
		if line == "" {
			if c.signed && got && !signed {
				continue
			}
			return c.trailerDone(got, signed)
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		value = strings.TrimSpace(value)
		switch {
		case !ok || !c.hasTrailer:
			return badTrailer()
		case name == trailerSignature && c.signed && !signed:
			if err := c.checkTrailer(value); err != nil {
				return err
			}
			signed = true
		case name == c.trailer && !got && !signed:
			got, c.trailerValue = true, value
			c.trailerSum.Write([]byte(name + ":" + value + "\n"))
		default:
			return badTrailer()
		}
	}
	return badTrailer()
}

func (c *chunkReader) trailerDone(got, signed bool) error {
	switch {
	case !c.hasTrailer:
		return nil
	case !got && c.trailer != "":
		return badTrailer()
	case c.signed && got && !signed:
		return badTrailer()
	}
	return nil
}

func (c *chunkReader) checkTrailer(hexSig string) error {
	var sig [32]byte
	if !decodeSignature(&sig, hexSig) {
		return badTrailer()
	}
	want := mac(c.key, algorithm+"-TRAILER\n"+c.head+c.previous+"\n"+hex.EncodeToString(c.trailerSum.Sum(nil)))
	if !hmac.Equal(want, sig[:]) {
		return wrongSignature()
	}
	return nil
}
