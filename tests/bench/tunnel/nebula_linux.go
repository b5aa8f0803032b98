package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const nebulaPort = 4242

// nebulaConfig is one end's, with the settings of the package comment.
const nebulaConfig = `pki: {ca: %[1]s/ca.crt, cert: %[1]s/%[2]s.crt, key: %[1]s/%[2]s.key}
static_host_map: {"%[3]s": ["%[4]s:%[5]d"]}
lighthouse: {am_lighthouse: false}
listen: {host: 0.0.0.0, port: %[5]d, read_buffer: 10485760, write_buffer: 10485760}
routines: %[6]d
cipher: aes
punchy: {punch: true}
tun: {dev: nebula-%[2]s, tx_queue: 1000, mtu: 1300}
logging: {level: error}
firewall:
  outbound: [{port: any, proto: any, host: any}]
  inbound: [{port: any, proto: any, host: any}]
`

// Nebula's addresses are in one network, which is all of its overlay.
var nebA, nebB = netip.MustParseAddr("10.70.0.1"), netip.MustParseAddr("10.70.0.2")

func (s *system) startNebula(ctx context.Context) error {
	s.a.addr, s.b.addr = nebA, nebB
	routines := max(1, runtime.NumCPU()/2) // both ends share the processors
	bin := filepath.Join(s.env.cache, "bin")
	cert := func(args ...string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "nebula-cert"), args...)
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nebula-cert %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := cert("ca", "-name", "bench"); err != nil {
		return err
	}
	for _, x := range []struct {
		at         *end
		name       string
		far, under netip.Addr
	}{{s.a, "a", nebB, underB}, {s.b, "b", nebA, underA}} {
		if err := cert("sign", "-name", x.name, "-ip", netip.PrefixFrom(x.at.addr, overBits).String()); err != nil {
			return err
		}
		path := filepath.Join(s.dir, x.name+".yaml")
		text := fmt.Sprintf(nebulaConfig, s.dir, x.name, x.far, x.under, nebulaPort, routines)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if _, err := s.daemon(x.at, "nebula-"+x.name, filepath.Join(bin, "nebula"), "-config", path); err != nil {
			return err
		}
	}
	return nil
}
