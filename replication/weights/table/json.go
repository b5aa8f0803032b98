package table

import (
	"strconv"
	"unicode/utf8"
)

// scanner reads the little JSON that there is in headers. The standard library's decoder takes the last of two equal
// keys, replaces what is not UTF-8, and needs several times the memory; a header must mean one thing.
type scanner struct {
	b     []byte
	at    int
	names int // bytes of strings kept so far, at most MaxNames
}

// next gives the next byte that is not white space, 0 at the end.
func (s *scanner) next() byte {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// is takes c when it comes next.
func (s *scanner) is(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) want(c byte) error {
	if !s.is(c) {
		return none("JSON: no %q at byte %d", c, s.at)
	}
	return nil
}

// each calls one for every item between open and close, with commas between them.
func (s *scanner) each(open, end byte, one func() error) error {
	if err := s.want(open); err != nil {
		return err
	}
	if s.is(end) {
		return nil
	}
	for {
		if err := one(); err != nil {
			return err
		}
		if s.is(end) {
			return nil
		}
		if err := s.want(','); err != nil {
			return err
		}
	}
}

// object calls one for every key, which then reads the value. Equal keys are for the caller to refuse.
func (s *scanner) object(one func(key string) error) error {
	return s.each('{', '}', func() error {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.want(':'); err != nil {
			return err
		}
		return one(key)
	})
}

// str reads a string of at most maxKey bytes.
func (s *scanner) str() (string, error) {
	if err := s.want('"'); err != nil {
		return "", err
	}
	start := s.at
	for s.at < len(s.b) && s.at-start <= maxKey {
		switch c := s.b[s.at]; {
		case c == '"':
			raw := s.b[start:s.at]
			s.at++
			return s.keep(raw)
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", none("JSON: a control character at byte %d", s.at)
		}
		s.at++
	}
	return "", none("JSON: a string at byte %d does not end in %d bytes", start, maxKey)
}

func (s *scanner) keep(raw []byte) (string, error) {
	if s.names += len(raw); s.names > MaxNames {
		return "", none("more than %d bytes of names", MaxNames)
	}
	if !utf8.Valid(raw) {
		return "", none("JSON: a string before byte %d is not UTF-8", s.at)
	}
	return string(raw), nil
}

// escaped reads a string on from its first backslash, by the standard library's idea of a quoted string as far as
// JSON has the same, and refuses what it has not.
func (s *scanner) escaped(start int) (string, error) {
	out := append([]byte(nil), s.b[start:s.at]...)
	for s.at < len(s.b) && s.at-start <= maxKey {
		c := s.b[s.at]
		s.at++
		switch {
		case c == '"':
			return s.keep(out)
		case c < ' ':
			return "", none("JSON: a control character at byte %d", s.at-1)
		case c != '\\':
			out = append(out, c)
			continue
		}
		if s.at >= len(s.b) {
			break
		}
		c = s.b[s.at]
		s.at++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := s.unicode()
			if !ok {
				return "", none("JSON: no character is written so, before byte %d", s.at)
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", none("JSON: an escape that there is not, at byte %d", s.at-1)
		}
	}
	return "", none("JSON: a string at byte %d does not end in %d bytes", start, maxKey)
}

// unicode reads the four digits of \uXXXX, and the second half of a pair of surrogates with the first.
func (s *scanner) unicode() (rune, bool) {
	four := func() (rune, bool) {
		if s.at+4 > len(s.b) {
			return 0, false
		}
		v, err := strconv.ParseUint(string(s.b[s.at:s.at+4]), 16, 16)
		s.at += 4
		return rune(v), err == nil
	}
	r, ok := four()
	if !ok || r < 0xd800 || r > 0xdfff {
		return r, ok
	}
	if r > 0xdbff || s.at+2 > len(s.b) || s.b[s.at] != '\\' || s.b[s.at+1] != 'u' {
		return 0, false
	}
	s.at += 2
	low, ok := four()
	return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, ok && low >= 0xdc00 && low <= 0xdfff
}

// whole reads a whole number of at least 0, without sign, fraction, exponent or leading zeros.
func (s *scanner) whole() (int64, error) {
	s.next()
	start := s.at
	for s.at < len(s.b) && s.at-start < 20 && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		s.at++
	}
	text := s.b[start:s.at]
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || len(text) > 1 && text[0] == '0' {
		return 0, none("JSON: no whole number at byte %d", start)
	}
	return v, nil
}

// wholes reads an array of at most n whole numbers.
func (s *scanner) wholes(n int) (out []int64, err error) {
	err = s.each('[', ']', func() error {
		v, err := s.whole()
		if err == nil && len(out) == n {
			err = none("JSON: more than %d numbers before byte %d", n, s.at)
		}
		out = append(out, v)
		return err
	})
	return out, err
}

// skip reads over any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return none("JSON: more than %d levels", maxDepth)
	}
	switch c := s.next(); {
	case c == '"':
		_, err := s.str()
		return err
	case c == '{':
		return s.object(func(string) error { return s.skip(depth + 1) })
	case c == '[':
		return s.each('[', ']', func() error { return s.skip(depth + 1) })
	case c == '-' || c >= '0' && c <= '9':
		start := s.at
		for s.at < len(s.b) && (s.b[s.at] >= '0' && s.b[s.at] <= '9' || s.b[s.at] == '-' || s.b[s.at] == '+' ||
			s.b[s.at] == '.' || s.b[s.at]|0x20 == 'e') {
			s.at++
		}
		if _, err := strconv.ParseFloat(string(s.b[start:s.at]), 64); err != nil {
			return none("JSON: no number at byte %d", start)
		}
		return nil
	}
	for _, word := range []string{"true", "false", "null"} {
		if s.at+len(word) <= len(s.b) && string(s.b[s.at:s.at+len(word)]) == word {
			s.at += len(word)
			return nil
		}
	}
	return none("JSON: no value at byte %d", s.at)
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.b) {
		return none("JSON: more behind its end, at byte %d", s.at)
	}
	return nil
}
