package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// How a peer's addresses are tried: in their order, each beginning a little after the one before it, or as soon as that
// one has failed; the first to answer wins (RFC 8305, with the order of whoever gave the list).
const (
	// addressHead is the head start of an address. A welcome from the other side of the world takes two round trips of
	// 350 ms, so the next address sometimes begins in vain; what is bought is that two dead addresses delay a good third
	// by one second.
	addressHead = 500 * time.Millisecond
	// addressTime is for one address.
	addressTime = 3 * time.Second
	// maxAddresses are tried, the rest is ignored.
	maxAddresses = 8
)

type attempt struct {
	session *Session
	err     error
}

// race dials a peer at all its addresses and returns the first session. It returns when no attempt is left running.
func (p *Pool) race(k poolKey) (*Session, error) {
	addrs := uniq(p.cfg.Addrs(k.peer))
	if len(addrs) == 0 {
		return nil, fmt.Errorf("reach %v (%s): no address of it is known: wait for the catalog, or check the router's endpoints", k.peer, k.alpn)
	}
	ctx, cancel := context.WithCancel(p.stopped)
	defer cancel()
	results := make(chan attempt, len(addrs))
	next := time.NewTimer(0)
	defer next.Stop()
	var won *Session
	var errs []error
	for begun, ended := 0, 0; ended < len(addrs); {
		select {
		case <-next.C:
			// Not past the check below: when nothing runs any more, nothing would come to wake us again.
			if begun < len(addrs) && ctx.Err() == nil {
				addr := addrs[begun]
				begun++
				next.Reset(addressHead)
				go func() { results <- p.try(ctx, k, addr) }()
			}
		case a := <-results:
			ended++
			switch {
			case a.err != nil:
				errs = append(errs, a.err)
				if begun < len(addrs) && won == nil {
					next.Reset(0)
				}
			case won == nil:
				won = a.session
				cancel()
			default:
				a.session.Close(CodeReplaced, "another address answered first")
			}
		}
		if (won != nil || ctx.Err() != nil) && ended == begun {
			break
		}
	}
	if won != nil {
		return won, nil
	}
	if err := p.stopped.Err(); err != nil {
		return nil, fmt.Errorf("reach %v (%s): %w", k.peer, k.alpn, ErrClosed)
	}
	return nil, fmt.Errorf("reach %v (%s): %w", k.peer, k.alpn, errors.Join(errs...))
}

func (p *Pool) try(ctx context.Context, k poolKey, addr netip.AddrPort) attempt {
	ctx, cancel := context.WithTimeout(ctx, addressTime)
	defer cancel()
	s, err := p.cfg.Endpoint.Dial(ctx, k.peer, addr, k.alpn)
	return attempt{s, err}
}

// uniq keeps the first of equal addresses, and at most maxAddresses.
func uniq(addrs []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range addrs {
		if len(out) < maxAddresses && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
