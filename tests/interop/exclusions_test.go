package interop

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// exclusion is why a test of a suite is not expected to pass, and what it says when it fails for that reason.
type exclusion struct {
	reason string
	fails  *regexp.Regexp
}

// exclusions are by suite and test.
type exclusions map[string]map[string]exclusion

// readExclusions reads the table:
//
//	suite NAME
//	reason why, in a sentence
//	fails a regular expression that the failure's text matches
//	  Test_name
//
// A reason and its expression hold for the tests that follow.
func readExclusions(path string) (exclusions, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	x := exclusions{}
	var suite string
	var e exclusion
	for n, line := range strings.Split(string(b), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		fail := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d: %s", path, n+1, fmt.Sprintf(format, a...))
		}
		switch word {
		case "", "#":
		case "suite":
			suite, e = rest, exclusion{}
			x[suite] = map[string]exclusion{}
		case "reason":
			e = exclusion{reason: rest}
		case "fails":
			if e.fails, err = regexp.Compile(rest); err != nil {
				return nil, fail("%v", err)
			}
		default:
			if suite == "" || e.reason == "" || e.fails == nil || rest != "" {
				return nil, fail("a test stands behind its suite, reason and failure, alone on its line")
			}
			if _, twice := x[suite][word]; twice {
				return nil, fail("%s is there twice", word)
			}
			x[suite][word] = e
		}
	}
	return x, nil
}

// TestExclusions: the table is well-formed, also where the suites do not run.
func TestExclusions(t *testing.T) {
	x, err := readExclusions("testdata/exclusions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []string{"versitygw", "minio-go"} {
		if x[suite] == nil {
			t.Errorf("no suite %s", suite)
		}
	}
}
