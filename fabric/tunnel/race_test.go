package tunnel

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/galleon-net/galleon/fabric/topo"
)

// A pool that is closed before the first address was tried has nothing that would wake a dial: it must
// find out by itself.
func TestRaceEndsWithItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolConfig{Addrs: func(topo.RouterID) []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4701"), netip.MustParseAddrPort("192.0.2.2:4701")}
		}})
		p.stop(ErrClosed)
		if s, err := p.race(poolKey{peer: 2, alpn: ALPNControl}); s != nil || !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, %v, want ErrClosed", s, err)
		}
	})
}
