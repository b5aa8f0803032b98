package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func routerCommand(c *cli) *cobra.Command {
	return group("router", "List, drain and revoke routers", routerList(c), routerDrain(c), routerRevoke(c))
}

func routerList(c *cli) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the routers and how they are reached from here", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().RouterList(cmd.Context(), admin.RouterListRequest{All: all})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("ROUTER", "NAME", "REGION", "REACH", "ROLE", "PREFIXES", "LOOPBACK", "OBJECTS")
				for _, x := range r.Routers {
					lo := ""
					if len(x.Loopbacks) > 0 {
						lo = x.Loopbacks[0].Prefix.Addr().String()
					}
					role := x.Role
					if x.Owner {
						role += ", owner"
					}
					if x.Draining {
						role += ", draining"
					}
					t.row(x.ID, x.Name, x.Region, x.Reach, role, prefixes(x.Prefixes), lo, x.S3)
				}
				t.print(w, "no routers")
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also revoked ones")
	return cmd
}

func routerDrain(c *cli) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "drain ROUTER", Short: "Ask the others to route round a router", Args: exactArgs("a router"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := c.client().RouterDrain(cmd.Context(), admin.RouterDrainRequest{Change: c.change(), Router: args[0], On: !off}); err != nil {
				return err
			}
			if off {
				return c.done("%s takes transit traffic again", args[0])
			}
			return c.done("%s is draining; end it with: galleon router drain --off %s", args[0], args[0])
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "end the drain")
	return cmd
}

func routerRevoke(c *cli) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "revoke ROUTER", Short: "Put a router out of the cluster for good", Args: exactArgs("a router"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.client().RouterRevoke(cmd.Context(), admin.RouterRevokeRequest{Change: c.change(), Router: args[0], Wait: wait})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "%s is revoked\n", args[0])
				if len(r.Enforced) > 0 {
					fmt.Fprintf(w, "enforced by  %s\n", strings.Join(r.Enforced, ", "))
				}
				if len(r.NotAsked) > 0 {
					fmt.Fprintf(w, "not asked    %s\n             they enforce it when the catalog reaches them\n", strings.Join(r.NotAsked, ", "))
				}
				if len(r.Unreached) > 0 {
					fmt.Fprintf(w, "not reached  %s\n             they may still talk to it until its certificate ends, %s\n",
						strings.Join(r.Unreached, ", "), r.CertExpires.Local().Format("2006-01-02 15:04:05"))
				}
			})
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 10*time.Second, "wait this long for every reachable router to enforce it; 0: do not wait")
	return cmd
}
