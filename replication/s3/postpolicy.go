package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// postPolicy is what a form's signer allows: until when, and which fields with which values. A field that no
// condition speaks of is refused.
type postPolicy struct {
	expires    time.Time
	conditions []postCondition
	// least and most bound the file, in bytes.
	least, most int64
}

type postCondition struct {
	prefix bool // starts-with instead of eq
	simple bool // {"field": "value"}, in which the field has no dollar
	field  string
	value  string
	text   string // as the client is told of it
}

func badPolicy(format string, args ...any) *apiError {
	return apiErr("InvalidPolicyDocument", "Invalid Policy: "+format, args...)
}

// parsePostPolicy reads a policy: base64 of JSON.
func parsePostPolicy(raw string) (*postPolicy, error) {
	if raw == "" {
		return nil, badPolicy("Expecting '{' but found End-of-Input")
	}
	doc, err := base64.StdEncoding.DecodeString(raw)
	if err != nil {
		return nil, badPolicy("invalid Base64 encoding.")
	}
	var w map[string]json.RawMessage
	if json.Unmarshal(doc, &w) != nil {
		return nil, badPolicy("Invalid JSON.")
	}
	for name := range w {
		if name != "expiration" && name != "conditions" {
			return nil, badPolicy("Unexpected: %q", name)
		}
	}
	p := &postPolicy{most: math.MaxInt64}
	if w["expiration"] == nil {
		return nil, badPolicy("Policy missing expiration.")
	}
	var expires string
	if json.Unmarshal(w["expiration"], &expires) != nil {
		return nil, badPolicy("Invalid JSON.")
	}
	if p.expires, err = time.Parse(time.RFC3339, expires); err != nil {
		return nil, badPolicy("Invalid 'expiration' value: '%s'", expires)
	}
	if w["conditions"] == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	var list []json.RawMessage
	if json.Unmarshal(w["conditions"], &list) != nil {
		return nil, badPolicy("Invalid 'conditions' value: must be a List.")
	}
	for _, c := range list {
		if err := p.condition(bytes.TrimSpace(c)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// condition reads one condition: {"field": "value"}, or a list that begins with its operation.
func (p *postPolicy) condition(raw json.RawMessage) error {
	if len(raw) > 0 && raw[0] == '{' {
		var simple map[string]json.RawMessage
		if json.Unmarshal(raw, &simple) != nil {
			return badPolicy("Invalid JSON.")
		}
		if len(simple) != 1 {
			return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for field, v := range simple {
			var value string
			if json.Unmarshal(v, &value) != nil {
				return badPolicy("Invalid Simple-Condition: value must be a string.")
			}
			p.conditions = append(p.conditions, postCondition{
				simple: true, field: strings.ToLower(field), value: value, text: fmt.Sprintf(`["eq", "$%s", "%s"]`, field, value),
			})
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return badPolicy("Invalid condition test: must be a List or Object.")
	}
	if len(list) == 0 {
		return badPolicy("Invalid Condition: missing operation identifier.")
	}
	var op string
	if json.Unmarshal(list[0], &op) != nil {
		return badPolicy("Invalid JSON.")
	}
	switch strings.ToLower(op) {
	case "eq", "starts-with", "content-length-range":
	default:
		return badPolicy("Invalid Condition: unknown operation '%s'.", op)
	}
	if len(list) != 3 {
		return badPolicy("Invalid %s: wrong number of arguments.", op)
	}
	if strings.EqualFold(op, "content-length-range") {
		if json.Unmarshal(list[1], &p.least) != nil || json.Unmarshal(list[2], &p.most) != nil {
			return badPolicy("Invalid JSON.")
		}
		return nil
	}
	c := postCondition{prefix: strings.EqualFold(op, "starts-with")}
	if json.Unmarshal(list[1], &c.field) != nil || json.Unmarshal(list[2], &c.value) != nil {
		return badPolicy("Invalid JSON.")
	}
	var text bytes.Buffer
	if json.Compact(&text, raw) == nil {
		c.text = text.String()
	}
	c.field = strings.ToLower(c.field)
	p.conditions = append(p.conditions, c)
	return nil
}

// allows judges a form that the policy was signed for.
func (p *postPolicy) allows(f *form, bucket string, now time.Time) error {
	if !now.Before(p.expires) {
		return apiErr("AccessDenied", "Invalid according to Policy: Policy expired.")
	}
	spoken := map[string]bool{"policy": true, "x-amz-signature": true, "file": true}
	for i := range p.conditions {
		c := &p.conditions[i]
		field, dollar := strings.CutPrefix(c.field, "$")
		if !dollar && !c.simple {
			return conditionFailed(c) // a list must name a field, with a dollar
		}
		spoken[field] = true
		value := f.fields[field]
		if field == "bucket" {
			value = bucket
		}
		if !c.holds(field, value) {
			return conditionFailed(c)
		}
	}
	for _, name := range append([]string{"bucket"}, f.names...) {
		if lower := strings.ToLower(name); !spoken[lower] && !strings.HasPrefix(lower, "x-ignore-") {
			return apiErr("AccessDenied", "Invalid according to Policy: Extra input fields: %s", name)
		}
	}
	return nil
}

func conditionFailed(c *postCondition) error {
	return apiErr("AccessDenied", "Invalid according to Policy: Policy Condition failed: %s", c.text)
}

func (c *postCondition) holds(field, value string) bool {
	if !c.prefix {
		return value == c.value
	}
	if field != "content-type" {
		return strings.HasPrefix(value, c.value)
	}
	// A content type may be a list, of which each must be allowed.
	for part := range strings.SplitSeq(value, ",") {
		if !strings.HasPrefix(strings.TrimSpace(part), c.value) {
			return false
		}
	}
	return true
}
