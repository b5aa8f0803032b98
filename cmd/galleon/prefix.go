package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func prefixCommand(c *cli) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List who may announce which prefix", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().PrefixList(cmd.Context(), admin.PrefixListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("PREFIX", "ROUTER", "REGION", "ANNOUNCED")
				for _, p := range r.Prefixes {
					t.row(p.Prefix, p.Router, p.Region, map[bool]string{true: "yes", false: "no"}[p.Announced])
				}
				t.print(w, "no prefixes; grant one with: galleon prefix grant ROUTER PREFIX")
			})
		},
	}
	grant := &cobra.Command{
		Use: "grant ROUTER PREFIX", Short: "Let a router announce a prefix", Args: exactArgs("a router", "a prefix"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ps, err := parsePrefixes(args[1:])
			if err != nil {
				return err
			}
			if _, err := c.client().PrefixGrant(cmd.Context(), admin.PrefixGrantRequest{Change: c.change(), Router: args[0], Prefix: ps[0]}); err != nil {
				return err
			}
			return c.done("%s may announce %s", args[0], ps[0])
		},
	}
	withdraw := &cobra.Command{
		Use: "withdraw ROUTER PREFIX", Short: "End a grant", Args: exactArgs("a router", "a prefix"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ps, err := parsePrefixes(args[1:])
			if err != nil {
				return err
			}
			if _, err := c.client().PrefixWithdraw(cmd.Context(), admin.PrefixGrantRequest{Change: c.change(), Router: args[0], Prefix: ps[0]}); err != nil {
				return err
			}
			return c.done("%s may no longer announce %s", args[0], ps[0])
		},
	}
	return group("prefix", "Say who may announce which prefix", list, grant, withdraw)
}

func poolCommand(c *cli) *cobra.Command {
	var bits int
	create := &cobra.Command{
		Use: "create NAME RANGE --bits LENGTH", Short: "Make a range from which tokens give prefixes", Args: exactArgs("a name", "a range"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ps, err := parsePrefixes(args[1:])
			if err != nil {
				return err
			}
			if _, err := c.client().PoolCreate(cmd.Context(), admin.PoolCreateRequest{Change: c.change(), Name: args[0], Range: ps[0], Bits: bits}); err != nil {
				return err
			}
			return c.done("pool %s gives a /%d of %s to each router whose token names it", args[0], bits, ps[0])
		},
	}
	create.Flags().IntVar(&bits, "bits", 24, "length of each prefix that is given")
	return group("pool", "Ranges from which joining routers are given prefixes", create)
}
