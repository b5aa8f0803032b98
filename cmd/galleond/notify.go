package main

import (
	"net"
	"os"
)

// notify tells systemd's service manager, when there is one, what state the daemon is in: sd_notify(3).
// It is best effort by design: a daemon that cannot say that it is ready is ready all the same.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// notifyWatchdog says that the supervisor's loop runs; children that hang are its own business.
func notifyWatchdog() {
	if os.Getenv("WATCHDOG_USEC") != "" {
		notify("WATCHDOG=1")
	}
}
