package policy

import (
	"errors"
	"fmt"
	"testing"
)

func everybody(string) bool { return true }

func doc(effect, principal, action, resource, condition string) []byte {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[{"Effect":"%s","Principal":%s,"Action":%s,"Resource":%s%s}]}`, effect, principal, action, resource, condition)
}

func TestParseRefuses(t *testing.T) {
	const all, objects, bucket = `"*"`, `"arn:aws:s3:::bkt/*"`, `"arn:aws:s3:::bkt"`
	for name, c := range map[string]struct {
		doc  []byte
		want Error
	}{
		"nothing":              {nil, errFirstByte},
		"a list":               {[]byte("[]"), errFirstByte},
		"cut short":            {[]byte("{"), errJSON},
		"no statement":         {[]byte("{}"), errNoStatement},
		"empty":                {[]byte(`{"Statement":[]}`), errEmpty},
		"version":              {[]byte(`{"Version":"2012-10-16","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bkt"}]}`), errVersion},
		"effect":               {doc("Perhaps", all, `"s3:*"`, objects, ""), "Invalid effect: Perhaps"},
		"no principal":         {doc("Allow", `""`, `"s3:*"`, objects, ""), errPrincipal},
		"star among others":    {doc("Allow", `["*","a"]`, `"s3:*"`, objects, ""), errPrincipal},
		"canonical user":       {doc("Allow", `{"CanonicalUser":"x"}`, `"s3:*"`, objects, ""), errPrincipal},
		"unknown action":       {doc("Allow", all, `"s3:Fly"`, objects, ""), errAction},
		"pattern of nothing":   {doc("Allow", all, `"s3:Fly*"`, objects, ""), errAction},
		"another service":      {doc("Allow", all, `"ec2:*"`, objects, ""), errAction},
		"another bucket":       {doc("Allow", all, `"s3:*"`, `"arn:aws:s3:::other/*"`, ""), errResource},
		"no arn":               {doc("Allow", all, `"s3:*"`, `"bkt/*"`, ""), errResource},
		"objects of a bucket":  {doc("Allow", all, `"s3:GetObject"`, bucket, ""), errMismatch},
		"a bucket of objects":  {doc("Allow", all, `"s3:ListBucket"`, objects, ""), errMismatch},
		"unknown operator":     {doc("Allow", all, `"s3:GetObject"`, objects, `{"Guess":{"aws:SourceIp":"1.2.3.4"}}`), "Invalid Condition type : Guess"},
		"unknown key":          {doc("Allow", all, `"s3:GetObject"`, objects, `{"Bool":{"aws:Weather":"true"}}`), errKey},
		"key of other actions": {doc("Allow", all, `"s3:GetObject"`, objects, `{"StringEquals":{"s3:prefix":"a"}}`), errConditions},
		"no address":           {doc("Allow", all, `"s3:GetObject"`, objects, `{"IpAddress":{"aws:SourceIp":"here"}}`), errAddress},
	} {
		_, err := Parse(c.doc, "bkt", everybody)
		var got Error
		if !errors.As(err, &got) || got != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Parse(doc("Allow", `"nobody"`, `"s3:*"`, objects, ""), "bkt", func(string) bool { return false }); !errors.Is(err, errPrincipal) {
		t.Errorf("a principal who does not exist: %v", err)
	}
	if _, err := Parse([]byte(`{"Statement":{"Effect":"Allow","NotPrincipal":"*","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bkt"}}`), "bkt", everybody); err == nil {
		t.Error("NotPrincipal was passed over")
	}
}

func TestDecide(t *testing.T) {
	d, err := Parse([]byte(`{"Statement":[
 {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/public/*"},
 {"Effect":"Allow","Principal":{"AWS":["KEY"]},"Action":["s3:Put*","s3:ListBucket"],"Resource":["arn:aws:s3:::bkt","arn:aws:s3:::bkt/in?/*"]},
 {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bkt/*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.1"]}}},
 {"Effect":"Deny","Principal":"*","Action":"s3:DeleteObjectVersion","Resource":"arn:aws:s3:::bkt/*"}]}`), "bkt", everybody)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, action, key, from string
		want                   Decision
	}{
		{"", "s3:GetObject", "public/a", "10.1.2.3", Allow},
		{"", "s3:GetObject", "public/a", "11.1.2.3", Deny},
		{"", "s3:GetObject", "public/a", "192.0.2.1", Allow},
		{"", "s3:GetObject", "private", "10.1.2.3", Silent},
		{"", "s3:PutObject", "in1/a", "10.1.2.3", Silent},
		{"KEY", "s3:PutObject", "in1/a", "10.1.2.3", Allow},
		{"KEY", "s3:PutObject", "in12/a", "10.1.2.3", Silent},
		{"OTHER", "s3:PutObject", "in1/a", "10.1.2.3", Silent},
		{"KEY", "s3:ListBucket", "", "10.1.2.3", Allow},
		{"KEY", "s3:DeleteObjectVersion", "a", "10.1.2.3", Deny},
	} {
		got := d.Decide(Request{Principal: c.who, Actions: []string{c.action}, Bucket: "bkt", Key: c.key, Have: func(k string) []string {
			if k == "aws:SourceIp" {
				return []string{c.from}
			}
			return nil
		}})
		if got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if !d.Public() {
		t.Error("everybody may read, and it is not public")
	}
}

func TestConditions(t *testing.T) {
	have := map[string][]string{
		"aws:UserAgent": {"curl/8"}, "aws:EpochTime": {"1795521600"}, "aws:CurrentTime": {"2026-11-24T12:00:00Z"}, "s3:max-keys": {"10"},
		"aws:SecureTransport": {"false"},
	}
	for condition, want := range map[string]bool{
		`{"StringEquals":{"aws:UserAgent":"curl/8"}}`:                                     true,
		`{"StringEquals":{"AWS:useragent":["x","curl/8"]}}`:                               true,
		`{"StringNotEquals":{"aws:UserAgent":["x","curl/8"]}}`:                            false,
		`{"StringLike":{"aws:UserAgent":"curl/?"}}`:                                       true,
		`{"StringEqualsIgnoreCase":{"aws:UserAgent":"CURL/8"}}`:                           true,
		`{"StringEquals":{"aws:Referer":"x"}}`:                                            false,
		`{"StringEqualsIfExists":{"aws:Referer":"x"}}`:                                    true,
		`{"StringNotEquals":{"aws:Referer":"x"}}`:                                         true,
		`{"Null":{"aws:Referer":"true"}}`:                                                 true,
		`{"Null":{"aws:UserAgent":"true"}}`:                                               false,
		`{"NumericLessThan":{"s3:max-keys":11}}`:                                          true,
		`{"NumericGreaterThanEquals":{"s3:max-keys":"11"}}`:                               false,
		`{"DateLessThan":{"aws:CurrentTime":"2026-11-25T00:00:00Z"}}`:                     true,
		`{"DateGreaterThan":{"aws:EpochTime":"2026-11-25"}}`:                              false,
		`{"Bool":{"aws:SecureTransport":true}}`:                                           false,
		`{"Bool":{"aws:SecureTransport":"false"}}`:                                        true,
		`{"ForAllValues:StringEquals":{"aws:Referer":"x"}}`:                               true,
		`{"StringEquals":{"aws:UserAgent":"curl/8"},"Bool":{"aws:SecureTransport":true}}`: false,
	} {
		d, err := Parse(doc("Allow", `"*"`, `"s3:ListBucket"`, `"arn:aws:s3:::bkt"`, condition), "bkt", everybody)
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		got := d.Decide(Request{Actions: []string{"s3:ListBucket"}, Bucket: "bkt", Have: func(k string) []string { return have[k] }})
		if (got == Allow) != want {
			t.Errorf("%s: %d, want %v", condition, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false}, {"?", "", false}, {"a?c", "abc", true},
		{"*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		if got := matches(c.pattern, c.s); got != c.want {
			t.Errorf("%q for %q: %v", c.pattern, c.s, got)
		}
	}
}

// FuzzParse: no document panics, and one that is accepted answers.
func FuzzParse(f *testing.F) {
	f.Add(doc("Allow", `"*"`, `"s3:*"`, `"arn:aws:s3:::bkt/*"`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	f.Add(doc("Deny", `{"AWS":["k"]}`, `["s3:Get*"]`, `["arn:aws:s3:::b*"]`, `{"NumericLessThan":{"s3:max-keys":5}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw, "bkt", everybody)
		if err != nil {
			return
		}
		d.Public()
		d.Decide(Request{Principal: "k", Actions: []string{"s3:GetObject"}, Bucket: "bkt", Key: "x", Have: func(k string) []string { return []string{"10"} }})
	})
}
