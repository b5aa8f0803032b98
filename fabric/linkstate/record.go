package linkstate

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// The record formats that this code writes and reads.
const (
	version1 = 1
	version2 = 2 // links have RTT95 and price; only where one of them says something
)

const (
	headLen   = 1 + 1 + 4 + 8 + 8 + 8 + 2 + 2
	linkLen   = 4 + 4 + 4 + 4 + 2 + 1
	moreLen   = 4 + 4       // of version 2
	flagsAt   = linkLen - 1 // in a link
	prefixMin = 2 + 1 + 1 + 4 + 4

	flagDraining = 0x01 // of the record
	flagUp       = 0x01 // of a link
)

// ErrFormat is wrapped by every error about bytes that are no record.
var ErrFormat = errors.New("malformed link-state")

// Encode gives the record's bytes. It puts copies of the lists in order, and fails when a bound is
// broken or two entries are about the same thing.
func (r Record) Encode() ([]byte, error) {
	links := slices.SortedFunc(slices.Values(r.Links), func(a, b Link) int { return cmp.Compare(a.To, b.To) })
	prefixes := slices.SortedFunc(slices.Values(r.Prefixes), compareAnnouncements)
	if err := r.check(links, prefixes); err != nil {
		return nil, fmt.Errorf("encode link-state of %s: %w", r.Origin, err)
	}
	b := make([]byte, 0, headLen+len(links)*(linkLen+moreLen)+len(prefixes)*(prefixMin+12))
	version := versionFor(links)
	b = append(b, version, flagIf(r.Draining, flagDraining))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Origin))
	b = binary.BigEndian.AppendUint64(b, r.Incarnation)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Issued.UnixNano()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(links)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(prefixes)))
	for _, l := range links {
		b = binary.BigEndian.AppendUint32(b, uint32(l.To))
		b = binary.BigEndian.AppendUint32(b, uint32(l.RTT/time.Microsecond))
		b = binary.BigEndian.AppendUint32(b, l.LossPPM)
		b = binary.BigEndian.AppendUint32(b, l.RateMbps)
		b = binary.BigEndian.AppendUint16(b, uint16(l.MTU))
		b = append(b, flagIf(l.Up, flagUp))
		if version == version2 {
			b = binary.BigEndian.AppendUint32(b, uint32(l.RTT95/time.Microsecond))
			b = binary.BigEndian.AppendUint32(b, l.Price)
		}
	}
	for _, p := range prefixes {
		b = binary.BigEndian.AppendUint16(b, uint16(p.Segment))
		b = append(b, byte(p.Prefix.Bits()), family(p.Prefix.Addr()))
		b = append(b, p.Prefix.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint32(b, p.Metric)
	}
	return b, nil
}

// versionFor is the lowest version that can say what the links say.
func versionFor(links []Link) byte {
	if slices.ContainsFunc(links, func(l Link) bool { return l.RTT95 >= time.Microsecond || l.Price != 0 }) {
		return version2
	}
	return version1
}

// check holds for every record that is encoded and for every record that was decoded.
func (r Record) check(links []Link, prefixes []Announcement) error {
	switch {
	case r.Origin == 0:
		return errors.New("no origin")
	case len(links) > MaxLinks:
		return fmt.Errorf("%d links, at most %d fit", len(links), MaxLinks)
	case len(prefixes) > MaxPrefixes:
		return fmt.Errorf("%d prefixes, at most %d fit", len(prefixes), MaxPrefixes)
	}
	for i, l := range links {
		switch {
		case l.To == 0 || l.To == r.Origin:
			return fmt.Errorf("link to %s", l.To)
		case i > 0 && links[i-1].To >= l.To:
			return fmt.Errorf("link to %s twice or out of order", l.To)
		case l.RTT < 0 || l.RTT > MaxRTT:
			return fmt.Errorf("link to %s: round trip of %s, want 0 to %s", l.To, l.RTT, MaxRTT)
		case l.RTT95 < 0 || l.RTT95 > MaxRTT:
			return fmt.Errorf("link to %s: round trip of %s for 95 of 100, want 0 to %s", l.To, l.RTT95, MaxRTT)
		case l.LossPPM > 1_000_000:
			return fmt.Errorf("link to %s: loss of %d in a million", l.To, l.LossPPM)
		case l.MTU < 0 || l.MTU > math.MaxUint16:
			return fmt.Errorf("link to %s: MTU of %d", l.To, l.MTU)
		}
	}
	for i, p := range prefixes {
		a := p.Prefix.Addr()
		switch {
		case !p.Prefix.IsValid() || p.Prefix.Masked() != p.Prefix || a.Is4In6() || a.Zone() != "":
			return fmt.Errorf("prefix %s is not a network address", p.Prefix)
		case i > 0 && compareAnnouncements(prefixes[i-1], p) >= 0:
			return fmt.Errorf("prefix %s twice or out of order", p.SegPrefix)
		}
	}
	return nil
}

func compareAnnouncements(a, b Announcement) int {
	return cmp.Or(cmp.Compare(a.Segment, b.Segment), a.Prefix.Addr().Compare(b.Prefix.Addr()),
		cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
}

func flagIf(on bool, flag byte) byte {
	if on {
		return flag
	}
	return 0
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return 4
	}
	return 6
}

// Decode reads what Encode gives and refuses everything else, so that one record has one encoding.
func Decode(b []byte) (Record, error) {
	r, err := decode(b)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return r, nil
}

func decode(b []byte) (Record, error) {
	if len(b) < headLen || len(b) > MaxRecord {
		return Record{}, fmt.Errorf("%d bytes", len(b))
	}
	version := b[0]
	if version != version1 && version != version2 {
		return Record{}, fmt.Errorf("version %d, this router speaks %d and %d", version, version1, version2)
	}
	linkLen := linkLen
	if version == version2 {
		linkLen += moreLen
	}
	if b[1]&^flagDraining != 0 {
		return Record{}, fmt.Errorf("flags %#x", b[1])
	}
	r := Record{
		Draining:    b[1]&flagDraining != 0,
		Origin:      topo.RouterID(binary.BigEndian.Uint32(b[2:])),
		Incarnation: binary.BigEndian.Uint64(b[6:]),
		Seq:         binary.BigEndian.Uint64(b[14:]),
		Issued:      time.Unix(0, int64(binary.BigEndian.Uint64(b[22:]))).UTC(),
	}
	links, prefixes := int(binary.BigEndian.Uint16(b[30:])), int(binary.BigEndian.Uint16(b[32:]))
	b = b[headLen:]
	if links > MaxLinks || prefixes > MaxPrefixes || len(b) < links*linkLen+prefixes*prefixMin {
		return Record{}, fmt.Errorf("%d links and %d prefixes in %d bytes", links, prefixes, len(b))
	}
	for range links {
		if b[flagsAt]&^flagUp != 0 {
			return Record{}, fmt.Errorf("link flags %#x", b[flagsAt])
		}
		l := Link{
			To:       topo.RouterID(binary.BigEndian.Uint32(b)),
			RTT:      time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Microsecond,
			LossPPM:  binary.BigEndian.Uint32(b[8:]),
			RateMbps: binary.BigEndian.Uint32(b[12:]),
			MTU:      int(binary.BigEndian.Uint16(b[16:])),
			Up:       b[flagsAt]&flagUp != 0,
		}
		if version == version2 {
			l.RTT95 = time.Duration(binary.BigEndian.Uint32(b[flagsAt+1:])) * time.Microsecond
			l.Price = binary.BigEndian.Uint32(b[flagsAt+5:])
		}
		r.Links, b = append(r.Links, l), b[linkLen:]
	}
	if version != versionFor(r.Links) {
		return Record{}, fmt.Errorf("version %d without what it is for", version)
	}
	for range prefixes {
		p, rest, err := decodeAnnouncement(b)
		if err != nil {
			return Record{}, err
		}
		r.Prefixes, b = append(r.Prefixes, p), rest
	}
	if len(b) != 0 {
		return Record{}, fmt.Errorf("%d bytes too many", len(b))
	}
	return r, r.check(r.Links, r.Prefixes)
}

func decodeAnnouncement(b []byte) (Announcement, []byte, error) {
	if len(b) < prefixMin {
		return Announcement{}, nil, errors.New("prefix cut short")
	}
	var size int
	switch b[3] {
	case 4:
		size = 4
	case 6:
		size = 16
	default:
		return Announcement{}, nil, fmt.Errorf("address family %d", b[3])
	}
	if len(b) < 8+size {
		return Announcement{}, nil, errors.New("prefix cut short")
	}
	addr, _ := netip.AddrFromSlice(b[4 : 4+size])
	return Announcement{
		SegPrefix: topo.SegPrefix{
			Segment: topo.SegmentID(binary.BigEndian.Uint16(b)),
			Prefix:  netip.PrefixFrom(addr, int(b[2])),
		},
		Metric: binary.BigEndian.Uint32(b[4+size:]),
	}, b[8+size:], nil
}
