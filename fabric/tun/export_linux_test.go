package tun

// OpenWith makes a device as an older kernel would, that has no more than most.
func OpenWith(name string, o Options, most Offloads) (*Kernel, error) {
	return openAt(devicePath, name, o, most)
}
