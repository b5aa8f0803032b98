package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is one operator on one key: some value must hold, or for the negated operators none may.
type condition struct {
	operator string // without IfExists and the set prefix
	ifExists bool
	forAll   bool // ForAllValues
	key      string
	values   []string
}

// comparisons are the operators, each as a question about one value of the request and one of the policy. Those of
// negated are their opposites.
var comparisons = map[string]func(have, want string) bool{
	"StringEquals":             func(h, w string) bool { return h == w },
	"StringEqualsIgnoreCase":   strings.EqualFold,
	"StringLike":               func(h, w string) bool { return matches(w, h) },
	"NumericEquals":            numeric(func(c int) bool { return c == 0 }),
	"NumericLessThan":          numeric(func(c int) bool { return c < 0 }),
	"NumericLessThanEquals":    numeric(func(c int) bool { return c <= 0 }),
	"NumericGreaterThan":       numeric(func(c int) bool { return c > 0 }),
	"NumericGreaterThanEquals": numeric(func(c int) bool { return c >= 0 }),
	"DateEquals":               date(func(c int) bool { return c == 0 }),
	"DateLessThan":             date(func(c int) bool { return c < 0 }),
	"DateLessThanEquals":       date(func(c int) bool { return c <= 0 }),
	"DateGreaterThan":          date(func(c int) bool { return c > 0 }),
	"DateGreaterThanEquals":    date(func(c int) bool { return c >= 0 }),
	"Bool":                     strings.EqualFold,
	"IpAddress":                within,
}

var negated = map[string]string{
	"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase", "StringNotLike": "StringLike",
	"NumericNotEquals": "NumericEquals", "DateNotEquals": "DateEquals", "NotIpAddress": "IpAddress",
}

// keys are the condition keys that a request has here, with the actions that they are for; nil is all.
var keys = map[string][]string{
	"aws:SourceIp": nil, "aws:SecureTransport": nil, "aws:UserAgent": nil, "aws:Referer": nil, "aws:CurrentTime": nil, "aws:EpochTime": nil,
	"aws:username": nil, "aws:PrincipalType": nil, "aws:userid": nil, "s3:authType": nil, "s3:signatureversion": nil, "s3:signatureage": nil, "s3:x-amz-content-sha256": nil,
	"s3:prefix": {"s3:ListBucket", "s3:ListBucketVersions"}, "s3:delimiter": {"s3:ListBucket", "s3:ListBucketVersions"},
	"s3:max-keys":            {"s3:ListBucket", "s3:ListBucketVersions"},
	"s3:VersionId":           {"s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectVersionTagging", "s3:GetObjectVersionAcl", "s3:GetObjectVersionAttributes"},
	"s3:x-amz-acl":           {"s3:PutObject", "s3:PutObjectAcl", "s3:PutBucketAcl", "s3:CreateBucket", "s3:PutObjectVersionAcl"},
	"s3:x-amz-storage-class": {"s3:PutObject"}, "s3:x-amz-copy-source": {"s3:PutObject"}, "s3:x-amz-metadata-directive": {"s3:PutObject"},
	"s3:x-amz-server-side-encryption": {"s3:PutObject"},
	"s3:object-lock-mode":             {"s3:PutObject", "s3:PutObjectRetention"}, "s3:object-lock-retain-until-date": {"s3:PutObject", "s3:PutObjectRetention"},
	"s3:object-lock-legal-hold": {"s3:PutObject", "s3:PutObjectLegalHold"},
}

// conditionsOf reads the conditions of a statement for actions.
func conditionsOf(w map[string]map[string]json.RawMessage, actions []string) ([]condition, error) {
	var out []condition
	for operator, list := range w {
		c := condition{operator: operator}
		if rest, ok := strings.CutPrefix(c.operator, "ForAllValues:"); ok {
			c.operator, c.forAll = rest, true
		}
		c.operator = strings.TrimPrefix(c.operator, "ForAnyValue:")
		if rest, ok := strings.CutSuffix(c.operator, "IfExists"); ok && rest != "Null" {
			c.operator, c.ifExists = rest, true
		}
		if comparisons[c.operator] == nil && negated[c.operator] == "" && c.operator != "Null" {
			return nil, Error("Invalid Condition type : " + operator)
		}
		for key, raw := range list {
			c := c
			var err error
			if c.key, err = keyOf(key, actions); err != nil {
				return nil, err
			}
			if c.values, err = valuesOf(raw); err != nil {
				return nil, errJSON
			}
			if (strings.HasSuffix(c.operator, "IpAddress") || c.key == "aws:SourceIp") && slices.ContainsFunc(c.values, func(v string) bool { return !isPrefix(v) }) {
				return nil, errAddress
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// keyOf finds a key as this package spells it, since case does not count, and refuses one that is for other actions.
func keyOf(key string, stated []string) (string, error) {
	for k, only := range keys {
		if !strings.EqualFold(k, key) {
			continue
		}
		if only == nil {
			return k, nil
		}
		for _, a := range stated {
			// Of a pattern it is enough that one action that it stands for has the key.
			if a != "s3:*" && a != "*" && !slices.ContainsFunc(matching(a), func(one string) bool { return slices.Contains(only, one) }) {
				return "", errConditions
			}
		}
		return k, nil
	}
	return "", errKey
}

// valuesOf reads one value or a list; numbers and booleans stand for their text.
func valuesOf(raw json.RawMessage) ([]string, error) {
	var list []any
	if json.Unmarshal(raw, &list) != nil {
		var one any
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		list = []any{one}
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, strconv.FormatBool(v))
		case float64:
			out = append(out, strconv.FormatFloat(v, 'f', -1, 64))
		default:
			return nil, errJSON
		}
	}
	if len(out) == 0 {
		return nil, errJSON
	}
	return out, nil
}

// holds judges a condition of a request. have gives the values that the request has for a key.
func (c *condition) holds(have func(key string) []string) bool {
	values := have(c.key)
	if c.operator == "Null" {
		return strings.EqualFold(c.values[0], strconv.FormatBool(len(values) == 0))
	}
	opposite, isNegated := negated[c.operator]
	if len(values) == 0 {
		return c.ifExists || c.forAll || isNegated
	}
	compare := comparisons[c.operator]
	if isNegated {
		compare = comparisons[opposite]
	}
	one := func(h string) bool {
		found := slices.ContainsFunc(c.values, func(w string) bool { return compare(h, w) })
		return found != isNegated
	}
	if c.forAll {
		return !slices.ContainsFunc(values, func(h string) bool { return !one(h) })
	}
	return slices.ContainsFunc(values, one)
}

func numeric(ok func(int) bool) func(have, want string) bool {
	return func(have, want string) bool {
		h, err1 := strconv.ParseFloat(have, 64)
		w, err2 := strconv.ParseFloat(want, 64)
		switch {
		case err1 != nil || err2 != nil:
			return false
		case h < w:
			return ok(-1)
		case h > w:
			return ok(1)
		}
		return ok(0)
	}
}

func date(ok func(int) bool) func(have, want string) bool {
	return func(have, want string) bool {
		h, ok1 := moment(have)
		w, ok2 := moment(want)
		return ok1 && ok2 && ok(h.Compare(w))
	}
}

// moment reads a time as conditions have it: ISO 8601, or seconds since 1970.
func moment(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), true
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func prefixOf(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err == nil
}

func isPrefix(s string) bool { _, ok := prefixOf(s); return ok }

func within(have, want string) bool {
	p, ok := prefixOf(want)
	a, err := netip.ParseAddr(have)
	return ok && err == nil && p.Contains(a.Unmap())
}
