package wan

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate is bits per second, in text like 1gbit, 2.5gbit, 100mbit, 64kbit, unlimited.
type Rate uint64

// Size is bytes, in text like 1400, 64KiB, 4MB.
type Size int64

// Share is a probability, in text like 0.5% or 0.005.
type Share float64

type unit struct {
	name   string
	factor float64
}

// Largest first, so that String picks the largest that divides.
var (
	rateUnits = []unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
	sizeUnits = []unit{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1}, {"", 1}}
)

// UnmarshalText reads the text form.
func (r *Rate) UnmarshalText(b []byte) error {
	if t := string(b); t == "unlimited" || t == "0" {
		*r = 0
		return nil
	}
	v, err := quantity(string(b), rateUnits, "100mbit")
	*r = Rate(v)
	return err
}

// UnmarshalText reads the text form.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := quantity(string(b), sizeUnits, "64KiB")
	*s = Size(v)
	return err
}

// UnmarshalText reads the text form.
func (s *Share) UnmarshalText(b []byte) error {
	text, percent := strings.CutSuffix(string(b), "%")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%q: want a share like 0.5%%", b)
	}
	if percent {
		v /= 100
	}
	*s = Share(v)
	return nil
}

func (r Rate) String() string {
	if r == 0 {
		return "unlimited"
	}
	return inUnits(uint64(r), rateUnits)
}

func (s Size) String() string {
	return inUnits(uint64(s), sizeUnits)
}

// String gives percent, or a plain fraction where percent would not read back as the same number.
func (s Share) String() string {
	text := strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%"
	var back Share
	if back.UnmarshalText([]byte(text)) != nil || back != s {
		return strconv.FormatFloat(float64(s), 'g', -1, 64)
	}
	return text
}

func inUnits(v uint64, units []unit) string {
	for _, u := range units {
		if f := uint64(u.factor); v >= f && v%f == 0 && u.name != "B" {
			return strconv.FormatUint(v/f, 10) + u.name
		}
	}
	return strconv.FormatUint(v, 10)
}

func quantity(text string, units []unit, like string) (float64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			continue
		}
		if v *= u.factor; v >= 0 && v < 1e15 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%q: want a number and a unit, like %s", text, like)
}
