package kernel

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// listenBuffer is the socket's, bytes. A router with a full BGP table elsewhere makes bursts of route
// events that are none of ours; what does not fit ends the subscription, and costs one look at everything.
const listenBuffer = 4 << 20

// Events subscribes.
func (k *Real) Events(ctx context.Context, table int) (<-chan Event, error) {
	if err := k.before("subscribe"); err != nil {
		return nil, fmt.Errorf("subscribe to netlink events: %w", err)
	}
	groups := []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE}
	var s *nl.NetlinkSocket
	var err error
	if k.ns != 0 {
		s, err = nl.SubscribeAt(netns.NsHandle(k.ns), netns.None(), unix.NETLINK_ROUTE, groups...)
	} else {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to netlink events: %w", err)
	}
	// Forcing the size past the system's limit takes privileges that a user namespace lacks.
	if s.SetReceiveBufferSize(listenBuffer, true) != nil {
		_ = s.SetReceiveBufferSize(listenBuffer, false)
	}
	ch := make(chan Event, 1)
	stop := context.AfterFunc(ctx, s.Close)
	go func() { // ends when the socket does: by an error, or closed when ctx ends
		defer close(ch)
		defer s.Close()
		defer stop()
		for {
			msgs, from, err := s.Receive()
			if err != nil {
				return
			}
			if from.Pid != nl.PidKernel {
				continue
			}
			for _, m := range msgs {
				if what := interesting(m.Header.Type, m.Data, table); what != "" {
					select {
					case ch <- Event{what}:
					default: // one is waiting, and is reason enough
					}
				}
			}
		}
	}()
	return ch, nil
}

// interesting names what a message is about, if it can be about something of ours.
func interesting(kind uint16, data []byte, table int) string {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return "link"
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return "address"
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return "rule"
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		const tableAt = 4 // in struct rtmsg, after family, lengths and tos; our tables are below 256
		if len(data) > tableAt && int(data[tableAt]) == table {
			return "route"
		}
	}
	return ""
}
