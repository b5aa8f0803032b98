package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration or policy file in bytes.
const maxFile = 1 << 20

// Load reads a configuration file. A missing path gives the defaults.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, nil
	}
	b, err := readFile(path)
	if err != nil {
		return c, err
	}
	return Parse(path, b)
}

// Parse reads a configuration from bytes; path is for error messages.
func Parse(path string, b []byte) (Config, error) {
	c := Default()
	if err := strict(b, &c, configKeys); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.Check(); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Print writes the whole configuration with its comments, in the form that Load reads.
func (c Config) Print(w io.Writer) error {
	var doc yaml.Node
	if err := doc.Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	annotate(&doc, reflect.TypeOf(c))
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return e.Close()
}

// annotate hangs each field's comment above its key.
func annotate(n *yaml.Node, t reflect.Type) {
	if n.Kind != yaml.MappingNode || t.Kind() != reflect.Struct {
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		for f := range t.NumField() {
			field := t.Field(f)
			if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name == n.Content[i].Value {
				n.Content[i].HeadComment = field.Tag.Get("comment")
				annotate(n.Content[i+1], field.Type)
			}
		}
	}
}

// LoadPolicies reads a policy file: one policy, or a list under the key policies.
func LoadPolicies(path string) ([]object.Policy, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	ps, err := ParsePolicies(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ps, nil
}

// policyFile is a policy as it is written.
type policyFile struct {
	Name        string   `yaml:"name"`
	Bucket      string   `yaml:"bucket"`
	Prefix      string   `yaml:"prefix"`
	From        anyNames `yaml:"from"`
	To          anyNames `yaml:"to"`
	Priority    int      `yaml:"priority"`
	KeepDeleted bool     `yaml:"keep_deleted"`
}

// anyNames is one name or a list of them.
type anyNames []string

func (a *anyNames) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*a = anyNames{n.Value}
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return fmt.Errorf("line %d: want a region, a list of regions, or all", n.Line)
	}
	*a = list
	return nil
}

// ParsePolicies reads policies from bytes.
func ParsePolicies(b []byte) ([]object.Policy, error) {
	var list struct {
		Policies []policyFile `yaml:"policies"`
	}
	var one policyFile
	var keys map[string]yaml.Node
	if err := yaml.Unmarshal(b, &keys); err != nil {
		return nil, clean(err, policyKeys)
	}
	if _, ok := keys["policies"]; ok {
		if err := strict(b, &list, policyKeys); err != nil {
			return nil, err
		}
	} else {
		if err := strict(b, &one, policyKeys); err != nil {
			return nil, err
		}
		list.Policies = []policyFile{one}
	}
	var out []object.Policy
	for i, f := range list.Policies {
		p := object.Policy{Name: f.Name, Bucket: f.Bucket, Prefix: f.Prefix, Priority: f.Priority, KeepDeleted: f.KeepDeleted}
		for _, s := range []struct {
			names anyNames
			set   *object.RegionSet
		}{{f.From, &p.From}, {f.To, &p.To}} {
			j, _ := json.Marshal([]string(s.names))
			if err := json.Unmarshal(j, s.set); err != nil {
				return nil, fmt.Errorf("policy %d: %w", i+1, err)
			}
		}
		if p.Name == "" || p.Bucket == "" || p.From.Empty() || p.To.Empty() {
			return nil, fmt.Errorf("policy %d (%q): name, bucket, from and to are needed", i+1, p.Name)
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no policy in it")
	}
	return out, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return b, nil
}

// Where people find the keys that there are.
const (
	configKeys = "galleond --print-config lists the keys"
	policyKeys = "galleon policy apply --help shows the keys"
)

// strict decodes YAML and refuses keys that the target does not have; where says where to find those that it has.
func strict(b []byte, into any, where string) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return clean(err, where)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document in the file; want one")
	}
	return nil
}

// clean takes Go's type names out of the YAML package's messages.
func clean(err error, where string) error {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	s = strings.TrimPrefix(s, "unmarshal errors:\n  ")
	s = strings.ReplaceAll(s, "\n  ", "; ")
	for {
		i := strings.Index(s, "field ")
		j := strings.Index(s, " not found in type ")
		if i < 0 || j < i {
			break
		}
		end := j + len(" not found in type ")
		rest := s[end:]
		if k := strings.IndexByte(rest, ';'); k >= 0 {
			rest = rest[k:]
		} else {
			rest = ""
		}
		s = s[:i] + "unknown key " + s[i+len("field "):j] + "; " + where + rest
	}
	return errors.New(s)
}
