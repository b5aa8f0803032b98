package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

const (
	wgPort = 51820
	wgDir  = "/var/run/wireguard" // where wireguard-go puts its socket; ours alone, see mountRun
)

// startWireGuard starts wireguard-go at both ends and keys it through its socket, as `wg setconf` would.
func (s *system) startWireGuard(ctx context.Context) error {
	s.a.addr, s.b.addr = overA, overB
	keyA, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keyB, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		at         *end
		device     string
		key, peer  *ecdh.PrivateKey
		far, under netip.Addr
	}{{s.a, "wg-a", keyA, keyB, s.b.addr, underB}, {s.b, "wg-b", keyB, keyA, s.a.addr, underA}} {
		if _, err := s.daemon(x.at, x.device, filepath.Join(s.env.cache, "bin", "wireguard"), "-f", x.device); err != nil {
			return err
		}
		far := netip.PrefixFrom(x.far, overBits).Masked()
		config := fmt.Sprintf("set=1\nprivate_key=%s\nlisten_port=%d\nreplace_peers=true\npublic_key=%s\nendpoint=%s\nreplace_allowed_ips=true\nallowed_ip=%s\n\n",
			hex.EncodeToString(x.key.Bytes()), wgPort, hex.EncodeToString(x.peer.PublicKey().Bytes()), netip.AddrPortFrom(x.under, wgPort), far)
		if err := uapi(ctx, filepath.Join(wgDir, x.device+".sock"), config); err != nil {
			return fmt.Errorf("configure %s: %w%s", x.device, err, s.logs())
		}
		if err := x.at.ns.AddAddress(x.device, netip.PrefixFrom(x.at.addr, x.at.addr.BitLen())); err != nil {
			return err
		}
		if err := x.at.ns.Up(x.device); err != nil {
			return err
		}
		if err := x.at.ns.AddRoute(far, x.device, netip.Addr{}); err != nil {
			return err
		}
	}
	return nil
}

// uapi speaks WireGuard's configuration protocol to a socket that may not be there yet.
func uapi(ctx context.Context, path, config string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			if pause(ctx, answerPoll) != nil {
				return err
			}
			continue
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, config); err != nil {
			return err
		}
		var reply [64]byte
		n, err := c.Read(reply[:])
		if err == nil && !strings.HasPrefix(string(reply[:n]), "errno=0\n") {
			err = fmt.Errorf("it says %q", reply[:n])
		}
		return err
	}
}
