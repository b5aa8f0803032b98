package floorplan

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// plan is plan.txt.
type plan struct {
	floors []string // from the roof down
	rooms  map[string]*room
	doors  map[string]*door // by module
	lines  int              // the longest that a file may be
	long   map[string]*long // files that may be longer
}

type room struct {
	path, floor string
	level       int // 0 is the roof
	what        string
	grants      []string
	exempt      []string // standard packages that rooms of this floor may not have
}

type door struct {
	module string
	rooms  []string
	why    string
}

type long struct {
	lines int
	why   string
}

// The floors that have rules of their own.
const (
	floorGround = "ground"
	floorNouns  = "nouns"
	floorFakes  = "fakes"
	floorGarden = "garden"
)

// everybodysTests stands for tests and the garden in a door's list.
const everybodysTests = "tests"

func house(path string) string {
	h, _, _ := strings.Cut(path, "/")
	return h
}

// read parses a plan. Lines that continue an entry are indented: > grants, ! exempts, : gives a reason.
func read(r io.Reader) (*plan, error) {
	p := &plan{rooms: map[string]*room{}, doors: map[string]*door{}, long: map[string]*long{}}
	var rm *room
	var why *string
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		words := strings.Fields(line)
		bad := func(what string) error { return fmt.Errorf("line %d: %s: %q", n, what, line) }
		switch {
		case len(words) == 0, line[0] == '#':
		case line[0] == ' ':
			switch {
			case words[0] == ">" && rm != nil:
				rm.grants = append(rm.grants, paths(words[1:])...)
			case words[0] == "!" && rm != nil && len(words) > 2:
				rm.exempt = append(rm.exempt, words[1])
			case words[0] == ":" && why != nil:
				*why = strings.Join(words[1:], " ")
			default:
				return nil, bad("this continues nothing")
			}
		case words[0] == "floor" && len(words) == 2:
			p.floors = append(p.floors, words[1])
			rm, why = nil, nil
		case words[0] == "door" && len(words) >= 3:
			d := &door{module: words[1], rooms: words[2:]}
			p.doors[d.module] = d
			rm, why = nil, &d.why
		case words[0] == "lines" && len(words) == 2:
			v, err := strconv.Atoi(words[1])
			if err != nil {
				return nil, bad("want a number")
			}
			p.lines = v
			rm, why = nil, nil
		case words[0] == "long" && len(words) == 3:
			v, err := strconv.Atoi(words[2])
			if err != nil {
				return nil, bad("want a file and a number")
			}
			l := &long{lines: v}
			p.long[words[1]] = l
			rm, why = nil, &l.why
		case len(p.floors) > 0 && len(words) >= 2:
			if p.rooms[words[0]] != nil {
				return nil, bad("this room is there twice")
			}
			rm = &room{path: words[0], floor: p.floors[len(p.floors)-1], level: len(p.floors) - 1, what: strings.Join(words[1:], " ")}
			p.rooms[rm.path] = rm
			why = nil
		default:
			return nil, bad("want a room and what it is for, below a floor")
		}
	}
	return p, s.Err()
}

// paths are the words up to the first that cannot be a room: a reason may follow a grant on its line.
func paths(words []string) []string {
	for i, w := range words {
		switch house(w) {
		case "cmd", "consensus", "fabric", "netcfg", "replication":
		default:
			return words[:i]
		}
	}
	return words
}
