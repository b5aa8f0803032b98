package node

import (
	"log/slog"
	"time"
)

// repeatAfter is how often a failure that goes on is told again.
const repeatAfter = 10 * time.Minute

// complaint logs a failure of something that is tried over and over: when it begins, when its reason changes,
// every repeatAfter, and when it is over. It belongs to one goroutine.
type complaint struct {
	log  *slog.Logger
	what string
	last string
	told time.Time
}

func (k *complaint) heard(err error) {
	switch {
	case err == nil && k.last != "":
		k.log.Info(k.what+": works again", "was", k.last)
		k.last = ""
	case err != nil && (err.Error() != k.last || time.Since(k.told) >= repeatAfter):
		k.log.Warn(k.what, "err", err)
		k.last, k.told = err.Error(), time.Now()
	}
}
