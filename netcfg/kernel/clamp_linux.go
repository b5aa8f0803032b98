package kernel

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The clamp, as nft would show it:
//
//	chain mss {
//	    type filter hook forward priority mangle;
//	    tcp flags & (syn | rst) == syn oifname "galleon0" tcp option maxseg size set rt mtu
//	    tcp flags & (syn | rst) == syn iifname "galleon0" tcp option maxseg size set rt mtu
//	}
//
// The hosts behind a router know their own network's MTU and begin their connections with it; many of them, or
// a firewall of theirs, do not hear the "too big" that corrects them. `rt mtu` (NFT_RT_TCPMSS) is the lesser of
// the route onward and of the route back, less the headers, so that both ends learn from a SYN and from its
// answer what the way carries, whichever of the two routers between them knows it better. The kernel only
// ever lowers what is there, and mends the checksum. What is no SYN leaves at the third expression.
type clampRule struct {
	device string
	out    bool // packets that go out by the device; else those that come in
}

const (
	clampChain = "mss"
	clampTag   = "galleon/1/mss/" // then in or out, a slash, the device

	tcpFlags  = 13 // offset in the header (RFC 9293 section 3.1)
	flagSYN   = 0x02
	flagRST   = 0x04
	optionMSS = 2 // kind; the size stands 2 octets on and has 2 (RFC 9293 section 3.2)
)

func clampRules(device string) []clampRule {
	if device == "" {
		return nil
	}
	return []clampRule{{device, true}, {device, false}}
}

func (r clampRule) tag() []byte {
	way := "in"
	if r.out {
		way = "out"
	}
	return fmt.Appendf(nil, "%s%s/%s", clampTag, way, r.device)
}

func (k *Real) addClamp(device string) {
	rules := clampRules(device)
	if len(rules) == 0 {
		return
	}
	chain := k.nft.AddChain(&nftables.Chain{Name: clampChain, Table: filterTable, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle})
	for _, r := range rules {
		k.nft.AddRule(&nftables.Rule{Table: filterTable, Chain: chain, Exprs: r.exprs(), UserData: r.tag()})
	}
}

func (r clampRule) exprs() []expr.Any {
	iface := expr.MetaKeyIIFNAME
	if r.out {
		iface = expr.MetaKeyOIFNAME
	}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, r.device)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{flagSYN | flagRST}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{flagSYN}},
		&expr.Meta{Key: iface, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Rt{Register: 1, Key: expr.RtTCPMSS}, // in the machine's byte order
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 2, Size: 2},
		&expr.Exthdr{SourceRegister: 1, Type: optionMSS, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt},
	}
}
