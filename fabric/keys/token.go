package keys

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Token lets one router join, once. It carries all that the router needs to find the cluster, to believe it and to
// be believed, so that opening a region takes nothing else. It prints without its secret.
type Token struct {
	ID          string           // names the token in the catalog; no secret
	Secret      [32]byte         // what makes its bearer welcome
	Cluster     string           //
	Incarnation uint32           //
	CAHash      [32]byte         // see HashCA
	Seeds       []netip.AddrPort // control endpoints to join at
	Region      topo.Region      //
	Zone        topo.Zone        //
	Prefixes    []topo.SegPrefix // granted to the router
	Pool        string           // or the pool to take a prefix from
	Expires     time.Time        // in whole seconds
}

// Bounds on a token, for whoever makes one and for whoever reads one.
const (
	maxTokenID       = 32
	maxTokenSeeds    = 16
	maxTokenPrefixes = 32
	maxTokenPool     = 40
	maxTokenText     = 4 << 10 // bytes of the text form, whitespace included
)

// What is wrong with a token.
var (
	ErrNotToken       = errors.New("this is not a join token")
	ErrTokenTruncated = errors.New("the join token is cut short")
	ErrTokenAltered   = errors.New("the join token was altered")
	ErrTokenExpired   = errors.New("the join token has expired")
)

// NewTokenID makes a name and a secret for a token.
func NewTokenID(rand io.Reader) (id string, secret [32]byte, err error) {
	var b [5 + 32]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", secret, fmt.Errorf("make join token: %w", err)
	}
	copy(secret[:], b[5:])
	return fmt.Sprintf("%x", b[:5]), secret, nil
}

// Check refuses a token that could not be encoded or that says what cannot be.
func (t Token) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("join token %.40q: %w", t.ID, fmt.Errorf(format, args...))
	}
	if len(t.ID) == 0 || len(t.ID) > maxTokenID {
		return bad("name of %d bytes, want 1 to %d", len(t.ID), maxTokenID)
	}
	if err := CheckCluster(t.Cluster); err != nil {
		return bad("%w", err)
	}
	if t.Incarnation == 0 {
		return bad("incarnation 0, they count from 1")
	}
	if err := topo.CheckRegion(t.Region); err != nil {
		return bad("%w", err)
	}
	if err := topo.CheckZone(t.Region, t.Zone); err != nil {
		return bad("%w", err)
	}
	if len(t.Seeds) == 0 || len(t.Seeds) > maxTokenSeeds {
		return bad("%d seeds, want 1 to %d", len(t.Seeds), maxTokenSeeds)
	}
	for _, s := range t.Seeds {
		if !s.IsValid() || s.Port() == 0 || s.Addr().Zone() != "" || s.Addr().Is4In6() {
			return bad("seed %v is not an address with a port", s)
		}
	}
	if len(t.Prefixes) > maxTokenPrefixes {
		return bad("%d prefixes, at most %d fit", len(t.Prefixes), maxTokenPrefixes)
	}
	for _, p := range t.Prefixes {
		if !p.Prefix.IsValid() || p.Prefix != p.Prefix.Masked() || p.Prefix.Addr().Is4In6() {
			return bad("prefix %v has host bits set or is none", p)
		}
	}
	if len(t.Pool) > maxTokenPool {
		return bad("pool name of %d bytes, at most %d fit", len(t.Pool), maxTokenPool)
	}
	if t.Expires.Unix() <= 0 || t.Expires.Nanosecond() != 0 {
		return bad("must expire at a whole second after 1970")
	}
	return nil
}

// CheckTime refuses a token that has expired.
func (t Token) CheckTime(now time.Time) error {
	if now.After(t.Expires) {
		return fmt.Errorf("%w: %s ended at %s, %v ago by this machine's clock (%s): make a new one with `galleon token create`, or check the clock",
			ErrTokenExpired, t.ID, stamp(t.Expires), now.Sub(t.Expires).Round(time.Second), stamp(now))
	}
	return nil
}

// Hash is what the catalog keeps of a token: it covers every field, secret included, so that a token with any of
// them changed is one that the catalog never made.
func (t Token) Hash() [32]byte { return hash256("galleon join token", t.payload()) }

// Format prints the token without its secret, whatever the verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }

// String names the token without its secret.
func (t Token) String() string {
	return fmt.Sprintf("join token %s (cluster %s, zone %s, until %s)", t.ID, t.Cluster, t.Zone, stamp(t.Expires))
}

// LogValue names the token without its secret.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON always fails: the one text form with the secret in it is Encode's.
func (t Token) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a join token is not marshalled: Encode it for whoever joins, keep its Hash")
}
