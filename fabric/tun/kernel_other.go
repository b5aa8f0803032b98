//go:build !linux

package tun

import (
	"errors"
	"os"
)

var errNotLinux = errors.New("open the TUN device: galleond runs on Linux only")

// Kernel exists on Linux only.
type Kernel struct{ Device }

// Open works on Linux only.
func Open(string, Options) (*Kernel, error) { return nil, errNotLinux }

// FromFile works on Linux only.
func FromFile(*os.File) (*Kernel, error) { return nil, errNotLinux }

// File works on Linux only.
func (*Kernel) File() (*os.File, error) { return nil, errNotLinux }
