package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func linkCommand(c *cli) *cobra.Command {
	var every *bool
	list := &cobra.Command{
		Use: "list", Short: "List this router's links as it measures them", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().LinkList(cmd.Context(), admin.LinkListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				printLinks(w, r.Links)
				printLanes(w, r.Links, *every)
			})
		},
	}
	every = list.Flags().Bool("lanes", false, "list every lane (source port), and not only those that are not used")
	return group("link", "Look at measured links", list)
}

func printLinks(w io.Writer, links []admin.LinkInfo) {
	t := newTable("FROM", "TO", "STATE", ">RTT", ">LOSS", ">RATE", ">MTU")
	for _, l := range links {
		t.row(l.From, l.To, l.State, ms(l.RTT), loss(l.LossPPM), fmt.Sprintf("%.1f Mbit/s", l.RateMbps), l.MTU)
	}
	t.print(w, "no links")
}

// printLanes lists the lanes that are not used, and why, or all of them.
func printLanes(w io.Writer, links []admin.LinkInfo, every bool) {
	t := newTable("TO", ">LANE", "STATE", ">RTT", ">LOSS", ">SHARE", ">PACKETS", "WHY")
	for _, l := range links {
		for i, n := range l.Lanes {
			if every || n.State != "used" {
				t.row(l.To, i, n.State, ms(n.RTT), loss(n.LossPPM), fmt.Sprintf("%.0f %%", n.Share*100), n.Packets, n.Why)
			}
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(w)
		t.print(w, "")
	}
}

func pathCommand(c *cli) *cobra.Command {
	show := &cobra.Command{
		Use: "show FROM TO", Short: "Show which way packets go between two regions or routers, and why", Args: exactArgs("FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.client().PathShow(cmd.Context(), admin.PathShowRequest{From: args[0], To: args[1]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { printPath(w, r) })
		},
	}
	return group("path", "Explain which way packets go", show)
}

func printPath(w io.Writer, r admin.PathShowReply) {
	if !r.Reachable {
		fmt.Fprintf(w, "%s cannot reach %s: %s\n", r.From, r.To, r.Why)
		return
	}
	fmt.Fprintf(w, "%s   RTT %s\n", strings.Join(r.Hops, " ─▶ "), ms(r.RTT))
	fmt.Fprintf(w, "why      %s\n", r.Why)
	if r.Session != "" {
		fmt.Fprintf(w, "session  %s\n", r.Session)
	}
	if len(r.Backup) > 0 {
		fmt.Fprintf(w, "backup   %s   RTT %s\n", strings.Join(r.Backup, " ─▶ "), ms(r.BackupRTT))
	} else {
		fmt.Fprintln(w, "backup   none that is free of loops")
	}
	fmt.Fprintln(w)
	printLinks(w, r.Links)
	if len(r.Alternatives) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable("ALSO CONSIDERED", ">RTT", "NOTE")
	for _, a := range r.Alternatives {
		t.row(strings.Join(a.Hops, " ─▶ "), ms(a.RTT), a.Note)
	}
	t.print(w, "")
}

func routeCommand(c *cli) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the prefixes that this router routes, and whether the kernel has them", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().RouteList(cmd.Context(), admin.RouteListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("PREFIX", "ROUTER", "REGION", "NEXT", "BACKUP", "KERNEL")
				for _, x := range r.Routes {
					t.row(x.Prefix, x.Router, x.Region, x.Next, x.Backup, x.State)
				}
				t.print(w, "no routes")
				if r.Drift != "" {
					fmt.Fprintln(w, "\n"+r.Drift)
				}
			})
		},
	}
	return group("route", "Look at programmed routes", list)
}
