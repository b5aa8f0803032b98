package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
)

func tokenCommand(c *cli) *cobra.Command {
	return group("token", "Make, list and take back one-time join tokens", tokenCreate(c), tokenList(c), tokenDelete(c))
}

func tokenCreate(c *cli) *cobra.Command {
	var region, zone, pool string
	var prefix []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create --region REGION --zone ZONE [--prefix PREFIX]... [--pool POOL] [--ttl TTL]",
		Short: "Make a token with which one router can join",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ps, err := parsePrefixes(prefix)
			if err != nil {
				return err
			}
			r, err := c.client().TokenCreate(cmd.Context(), admin.TokenCreateRequest{
				Change: c.change(), Region: topo.Region(region), Zone: topo.Zone(zone), Prefixes: ps, Pool: pool, TTL: ttl,
			})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintln(w, r.Token)
				fmt.Fprintf(w, "\nThis token is shown once. It is good for one router, until %s.\nOn the new router: galleon join TOKEN\n", r.Expires.Local().Format("2006-01-02 15:04:05"))
			})
		},
	}
	cmd.Flags().StringVar(&region, "region", "", "the new router's region; it need not exist yet")
	cmd.Flags().StringVar(&zone, "zone", "", "the new router's zone, named after its region")
	cmd.Flags().StringSliceVar(&prefix, "prefix", nil, "a prefix that the router may announce; may be repeated")
	cmd.Flags().StringVar(&pool, "pool", "", "a pool to give the router a prefix from")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the token is good")
	require(cmd, "region", "zone")
	return cmd
}

func tokenList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, without their secrets", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().TokenList(cmd.Context(), admin.TokenListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("ID", "ZONE", "PREFIXES", "POOL", "STATE", "USED BY", "EXPIRES")
				for _, k := range r.Tokens {
					t.row(k.ID, k.Zone, prefixes(k.Prefixes), k.Pool, k.State, k.UsedBy, ago(k.Expires))
				}
				t.print(w, "no tokens; make one with: galleon token create --region REGION --zone ZONE")
			})
		},
	}
}

func tokenDelete(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Take an unused token back", Args: exactArgs("a token id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := c.client().TokenDelete(cmd.Context(), admin.TokenDeleteRequest{Change: c.change(), ID: args[0]}); err != nil {
				return err
			}
			return c.done("token %s is no longer good", args[0])
		},
	}
}
