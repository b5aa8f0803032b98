package main

import (
	"fmt"
	"strings"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// misspell changes one character in the middle of a token, as a slip of the pen would.
func misspell(token string) string {
	at := len(token) / 2
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}

// forge gives a token that asks for another region and is well formed, check sum included: what somebody would
// make who knows the format. Only the cluster can tell that it never made it.
func forge(token, region, zone string) (string, error) {
	t, err := keys.ParseToken(token)
	if err != nil {
		return "", fmt.Errorf("read the token that was just made: %w", err)
	}
	t.Region, t.Zone = topo.Region(region), topo.Zone(zone)
	return t.Encode(), nil
}

// redact shortens tokens for the screen: they are secrets while they are good.
func redact(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if strings.HasPrefix(a, tokenPrefix) && len(a) > tokenShown {
			a = a[:tokenShown] + "…"
		}
		out[i] = a
	}
	return out
}

const (
	tokenPrefix = "glt1."
	tokenShown  = 13
)
