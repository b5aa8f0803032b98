package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// The text form of a token, one word that survives a terminal:
//
//	"glt1." base64url( length | payload | checksum )
//
//	length    2 bytes, of the payload; tells a token cut short from one that was altered
//	payload   see below
//	checksum  6 bytes, the first of SHA-256("glt1." | length | payload): against slips, not against malice;
//	          against malice stands the catalog, which knows the hash of every token that it made
//
//	payload   id | secret 32 | cluster | incarnation 4 | CA hash 32 | region | zone | pool | expires 8, Unix
//	          seconds | n 1 | n seeds: address, port 2 | n 1 | n prefixes: segment 2, address, bits 1
//
// Numbers are big endian. A string is its length in one byte and its bytes; an address is a string of 4 or 16
// bytes. There is one encoding of every token: what is not in it is refused.
const (
	tokenPrefix   = "glt1."
	tokenChecksum = 6
)

// Encode gives the text form. The caller has checked the token: Encode panics on one that Check refuses.
func (t Token) Encode() string {
	if err := t.Check(); err != nil {
		panic("keys: encode of a bad token: " + err.Error())
	}
	p := t.payload()
	b := binary.BigEndian.AppendUint16(nil, uint16(len(p)))
	b = append(b, p...)
	b = append(b, tokenSum(b)...)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func tokenSum(b []byte) []byte {
	h := sha256.Sum256(append([]byte(tokenPrefix), b...))
	return h[:tokenChecksum]
}

func (t Token) payload() []byte {
	b := appendString(nil, t.ID)
	b = append(b, t.Secret[:]...)
	b = appendString(b, t.Cluster)
	b = binary.BigEndian.AppendUint32(b, t.Incarnation)
	b = append(b, t.CAHash[:]...)
	b = appendString(b, string(t.Region))
	b = appendString(b, string(t.Zone))
	b = appendString(b, t.Pool)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = append(b, byte(len(t.Seeds)))
	for _, s := range t.Seeds {
		b = appendString(b, string(s.Addr().AsSlice()))
		b = binary.BigEndian.AppendUint16(b, s.Port())
	}
	b = append(b, byte(len(t.Prefixes)))
	for _, p := range t.Prefixes {
		b = binary.BigEndian.AppendUint16(b, uint16(p.Segment))
		b = appendString(b, string(p.Prefix.Addr().AsSlice()))
		b = append(b, byte(p.Prefix.Bits()))
	}
	return b
}

func appendString(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// ParseToken reads a token, also one that a terminal broke into lines. It does not know the time: see CheckTime.
func ParseToken(s string) (Token, error) {
	if len(s) > maxTokenText {
		return Token{}, fmt.Errorf("%w: %d bytes, one has at most %d", ErrNotToken, len(s), maxTokenText)
	}
	s = strings.Join(strings.Fields(s), "")
	text, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		if s != "" && strings.HasPrefix(tokenPrefix, s) {
			return Token{}, tokenTruncated("only its beginning is there")
		}
		return Token{}, fmt.Errorf("%w: one begins with %s; `galleon token create` makes one", ErrNotToken, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		// To name the fault, read what can be read: of a text that was cut, whole groups of four characters.
		lax := base64.RawURLEncoding
		var laxErr error
		if b, laxErr = lax.DecodeString(text); laxErr != nil {
			if b, laxErr = lax.DecodeString(text[:len(text)/4*4]); laxErr != nil {
				return Token{}, tokenAltered("there are characters in it that no token has")
			}
		}
	}
	if len(b) < 2 {
		return Token{}, tokenTruncated("only its beginning is there")
	}
	want := 2 + int(binary.BigEndian.Uint16(b)) + tokenChecksum
	switch {
	case len(b) < want:
		return Token{}, tokenTruncated(fmt.Sprintf("%d of %d bytes are there", len(b), want))
	case len(b) > want:
		return Token{}, tokenAltered("there is more than belongs to it")
	case err != nil:
		return Token{}, tokenAltered("its last characters are not those of a token")
	}
	body, sum := b[:want-tokenChecksum], b[want-tokenChecksum:]
	if !bytes.Equal(tokenSum(body), sum) {
		return Token{}, tokenAltered("its checksum is wrong")
	}
	return parseTokenPayload(body[2:])
}

func parseTokenPayload(p []byte) (Token, error) {
	r := reader{b: p}
	t := Token{ID: r.str(maxTokenID)}
	copy(t.Secret[:], r.take(32))
	t.Cluster = r.str(maxCluster)
	t.Incarnation = uint32(r.uint(4))
	copy(t.CAHash[:], r.take(32))
	t.Region = topo.Region(r.str(255))
	t.Zone = topo.Zone(r.str(255))
	t.Pool = r.str(maxTokenPool)
	t.Expires = time.Unix(int64(r.uint(8)), 0).UTC()
	for range r.count(maxTokenSeeds) {
		t.Seeds = append(t.Seeds, netip.AddrPortFrom(r.addr(), uint16(r.uint(2))))
	}
	for range r.count(maxTokenPrefixes) {
		seg := topo.SegmentID(r.uint(2))
		addr := r.addr()
		t.Prefixes = append(t.Prefixes, topo.SegPrefix{Segment: seg, Prefix: netip.PrefixFrom(addr, int(r.uint(1)))})
	}
	if r.bad || len(r.b) > 0 {
		return Token{}, tokenAltered("its fields do not add up; or a newer version made it, then upgrade this one")
	}
	if err := t.Check(); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrTokenAltered, err)
	}
	return t, nil
}

func tokenTruncated(why string) error {
	return fmt.Errorf("%w: %s: copy it again from its first character to its last", ErrTokenTruncated, why)
}

func tokenAltered(why string) error {
	return fmt.Errorf("%w: %s: copy it again, or make a new one with `galleon token create`", ErrTokenAltered, why)
}

// reader takes fields off b until something does not fit; then bad stays set and everything reads as zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uint(bytes int) uint64 {
	var v uint64
	for _, c := range r.take(bytes) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) count(limit int) int {
	n := int(r.uint(1))
	if n > limit {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) str(limit int) string { return string(r.take(r.count(limit))) }

func (r *reader) addr() netip.Addr {
	a, ok := netip.AddrFromSlice(r.take(r.count(16)))
	if !ok {
		r.bad = true
	}
	return a
}
