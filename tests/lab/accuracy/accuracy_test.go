//go:build linux

package accuracy

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

var refused error

func TestMain(m *testing.M) {
	refused = lab.Enter(os.Args[1:])
	os.Exit(m.Run())
}

// attempts is how often a check may try: on a machine that other tests keep busy, senders and receivers, and without root the
// network too, are kept waiting.
const attempts = 4

// TestAccuracy measures: it wants the machine for itself, and so is not part of an ordinary test run.
func TestAccuracy(t *testing.T) {
	if os.Getenv("GALLEON_ACCURACY") == "" {
		t.Skip("the emulator's promises about time are measured on a quiet machine: make accuracy")
	}
	if refused != nil {
		t.Skip(refused)
	}
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			for n := 1; ; n++ {
				rows, err := c.Do(ctx)
				if err != nil {
					t.Fatal(err)
				}
				ok := true
				for _, r := range rows {
					t.Log(r)
					ok = ok && r.OK
				}
				if ok {
					return
				}
				if n == attempts {
					t.Fatalf("not as promised in %d attempts", n)
				}
			}
		})
	}
}
