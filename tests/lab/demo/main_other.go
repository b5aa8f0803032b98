//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "demo: the lab is made of Linux network namespaces: run it on Linux, in a virtual machine or a privileged container if need be")
	os.Exit(1)
}
