package s3

import (
	"strings"
)

// byteRange is a part of an object: n bytes from off.
type byteRange struct{ off, n int64 }

// parseRange reads a Range header against an object's size. ok is false when the header is to be
// ignored, as RFC 9110 wants of what it does not define and S3 of more than one range; satisfiable is
// false when it asks for bytes behind the end.
func parseRange(h string, size int64) (r byteRange, ok, satisfiable bool) {
	spec, found := strings.CutPrefix(h, "bytes=")
	if !found || strings.Contains(spec, ",") {
		return byteRange{}, false, true
	}
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return byteRange{}, false, true
	}
	if first == "" { // the last n bytes
		n, valid := parseOffset(last)
		if !valid {
			return byteRange{}, false, true
		}
		if n > 0 && size == 0 {
			return byteRange{}, false, true // S3 gives the empty object
		}
		n = min(n, size)
		return byteRange{size - n, n}, true, n > 0
	}
	from, valid := parseOffset(first)
	if !valid {
		return byteRange{}, false, true
	}
	to := size - 1
	if last != "" {
		if to, valid = parseOffset(last); !valid || to < from {
			return byteRange{}, false, true
		}
		to = min(to, size-1)
	}
	if from >= size {
		return byteRange{}, true, false
	}
	return byteRange{from, to - from + 1}, true, true
}

// maxOffset is where offsets saturate: beyond any object, and safe to add to.
const maxOffset = 1 << 60

// parseOffset reads decimal digits, as many as there are; what is too large saturates.
func parseOffset(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), maxOffset)
	}
	return n, true
}
