package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// Error is a refusal of a document, in the words in which S3 gives it.
type Error string

func (e Error) Error() string { return string(e) }

// What can be wrong with a document.
const (
	errFirstByte   = Error("Policies must be valid JSON and the first byte must be '{'")
	errJSON        = Error("This policy contains invalid Json")
	errNoStatement = Error("Missing required field Statement")
	errEmpty       = Error("Could not parse the policy: Statement is empty!")
	errVersion     = Error("The policy must contain a valid version string")
	errPrincipal   = Error("Invalid principal in policy")
	errAction      = Error("Policy has invalid action")
	errResource    = Error("Policy has invalid resource")
	errMismatch    = Error("Action does not apply to any resource(s) in statement")
	errKey         = Error("Policy has an invalid condition key")
	errConditions  = Error("Conditions do not apply to combination of actions and resources in statement")
	errAddress     = Error("Invalid IP address in Conditions")
)

const (
	// MaxDocument bounds a document, in bytes, as S3 does.
	MaxDocument = 20 << 10
	// maxStatements bounds the statements of one; at MaxDocument there is no room for more that say anything.
	maxStatements = 256

	arnPrefix = "arn:aws:s3:::"
)

// Document is a policy that was understood.
type Document struct {
	statements []statement
}

type statement struct {
	deny       bool
	principals []string // "*", or names of access keys
	actions    []string // patterns, with s3:
	resources  []string // patterns, without arnPrefix
	conditions []condition
}

// wire is the JSON of a document.
type wire struct {
	Version   *string
	ID        string `json:"Id"`
	Statement *json.RawMessage
}

type wireStatement struct {
	Sid                                  string
	Effect                               string
	Principal                            json.RawMessage
	Action                               json.RawMessage
	Resource                             json.RawMessage
	Condition                            map[string]map[string]json.RawMessage
	NotPrincipal, NotAction, NotResource json.RawMessage
}

// Parse reads the policy of a bucket. known says whether a principal's name is that of somebody. It refuses what is
// not wholly understood, with an Error.
func Parse(raw []byte, bucket string, known func(principal string) bool) (*Document, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errFirstByte
	}
	var w wire
	if len(raw) > MaxDocument || json.Unmarshal(raw, &w) != nil {
		return nil, errJSON
	}
	if w.Statement == nil {
		return nil, errNoStatement
	}
	list, err := statements(*w.Statement)
	if err != nil {
		return nil, err
	}
	// Actions are part of the form, so they are judged before what the words mean.
	d := &Document{}
	for i := range list {
		s := statement{}
		if s.actions, err = actionsOf(list[i].Action); err != nil {
			return nil, err
		}
		d.statements = append(d.statements, s)
	}
	if w.Version != nil && *w.Version != "2012-10-17" && *w.Version != "2008-10-17" {
		return nil, errVersion
	}
	for i := range list {
		if err := d.statements[i].fill(&list[i], bucket, known); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// statements reads one statement or a list of them.
func statements(raw json.RawMessage) ([]wireStatement, error) {
	var list []wireStatement
	if t := bytes.TrimSpace(raw); len(t) > 0 && t[0] == '{' {
		list = make([]wireStatement, 1)
		if json.Unmarshal(t, &list[0]) != nil {
			return nil, errJSON
		}
	} else if json.Unmarshal(raw, &list) != nil {
		return nil, errJSON
	}
	if len(list) == 0 {
		return nil, errEmpty
	}
	if len(list) > maxStatements {
		return nil, errJSON
	}
	return list, nil
}

func (s *statement) fill(w *wireStatement, bucket string, known func(string) bool) (err error) {
	switch w.Effect {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return Error("Invalid effect: " + w.Effect)
	}
	if w.NotPrincipal != nil || w.NotAction != nil || w.NotResource != nil {
		return Error("NotPrincipal, NotAction and NotResource are not supported")
	}
	if s.principals, err = principalsOf(w.Principal, known); err != nil {
		return err
	}
	if s.resources, err = resourcesOf(w.Resource, bucket); err != nil {
		return err
	}
	if s.conditions, err = conditionsOf(w.Condition, s.actions); err != nil {
		return err
	}
	return s.matchKinds()
}

// matchKinds refuses actions that none of the resources can be for.
func (s *statement) matchKinds() error {
	onBuckets, onObjects := false, false
	for _, r := range s.resources {
		_, _, object := strings.Cut(r, "/")
		onObjects = onObjects || object || strings.Contains(r, "*") // a star may stand for a slash too
		onBuckets = onBuckets || !object
	}
	for _, a := range s.actions {
		k := kindOf(a)
		if k == onObject && !onObjects || k == onBucket && !onBuckets {
			return errMismatch
		}
	}
	return nil
}

// texts reads a string or a list of strings.
func texts(raw json.RawMessage) ([]string, error) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("empty list")
	}
	return list, nil
}

func principalsOf(raw json.RawMessage, known func(string) bool) ([]string, error) {
	var kinds map[string]json.RawMessage
	if json.Unmarshal(raw, &kinds) == nil {
		if len(kinds) != 1 || kinds["AWS"] == nil {
			return nil, errPrincipal
		}
		raw = kinds["AWS"]
	}
	list, err := texts(raw)
	if err != nil {
		return nil, errPrincipal
	}
	if slices.Contains(list, "*") {
		if len(list) > 1 {
			return nil, errPrincipal
		}
		return list, nil
	}
	for _, p := range list {
		if p == "" || !known(p) {
			return nil, errPrincipal
		}
	}
	return list, nil
}

func resourcesOf(raw json.RawMessage, bucket string) ([]string, error) {
	list, err := texts(raw)
	if err != nil {
		return nil, errResource
	}
	out := make([]string, len(list))
	for i, r := range list {
		rest, ok := strings.CutPrefix(r, arnPrefix)
		name, _, _ := strings.Cut(rest, "/")
		if !ok || rest == "" || rest[0] == '/' || !matches(name, bucket) && !reaches(rest, bucket) {
			return nil, errResource
		}
		out[i] = rest
	}
	return out, nil
}

// reaches says whether a pattern without a slash in its literal beginning can be for objects of the bucket, as in
// "buck*".
func reaches(pattern, bucket string) bool {
	literal, _, wild := strings.Cut(pattern, "*")
	return wild && !strings.Contains(literal, "?") && strings.HasPrefix(bucket+"/", literal)
}
