//go:build !linux

package underlay

import (
	"errors"
	"net/netip"
	"os"
)

var errNotLinux = errors.New("open the underlay socket: galleond runs on Linux only")

// Listen works on Linux only.
func Listen(netip.AddrPort, Options) (*Socket, error) { return nil, errNotLinux }

// FromFiles works on Linux only.
func FromFiles([]*os.File, Options) (*Socket, error) { return nil, errNotLinux }
