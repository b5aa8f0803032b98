package main

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
)

func clusterCommand(c *cli) *cobra.Command {
	return group("cluster", "Make a cluster, look at its consensus and its audit trail, back it up", clusterInit(c), clusterStatus(c), clusterAudit(c), clusterTransfer(c), clusterBackup(c))
}

func clusterInit(c *cli) *cobra.Command {
	var region, zone string
	var prefix, loopbacks []string
	var mtu int
	cmd := &cobra.Command{
		Use:   "init --region REGION --zone ZONE [--prefix PREFIX]...",
		Short: "Make a cluster whose first router is this one",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := admin.ClusterInitRequest{Region: topo.Region(region), Zone: topo.Zone(zone), FabricMTU: mtu}
			var err error
			if req.Prefixes, err = parsePrefixes(prefix); err != nil {
				return err
			}
			for _, l := range loopbacks {
				p, err := netip.ParsePrefix(l)
				if err != nil {
					return fmt.Errorf("--loopbacks %q: want a prefix like 100.127.0.0/16", l)
				}
				req.Loopbacks = append(req.Loopbacks, p)
			}
			r, err := c.client().ClusterInit(cmd.Context(), req)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "cluster %s is made; this is its first router, %s (%s)\n", r.Cluster, r.Name, r.Router)
				fmt.Fprintf(w, "\nThe root key is in %s.\nMove it to a place that is not on a network; the cluster does not need it to run.\n", r.RootKeyFile)
				fmt.Fprintf(w, "\nNext: galleon token create --region REGION --zone ZONE, and on the new router: galleon join TOKEN\n")
			})
		},
	}
	cmd.Flags().StringVar(&region, "region", "", "this router's region, like cn-hangzhou")
	cmd.Flags().StringVar(&zone, "zone", "", "this router's zone, like cn-hangzhou-a")
	cmd.Flags().StringSliceVar(&prefix, "prefix", nil, "a prefix that this router announces, like 10.1.0.0/24; may be repeated")
	cmd.Flags().StringSliceVar(&loopbacks, "loopbacks", nil, "pools of router addresses, when the defaults collide with yours")
	cmd.Flags().IntVar(&mtu, "mtu", 0, "largest packet that hosts may send into the fabric, in bytes; what each way carries is measured; 0: 8952")
	require(cmd, "region", "zone")
	return cmd
}

func clusterStatus(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show who leads, who votes, who follows, and how far everybody is",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().ClusterStatus(cmd.Context(), admin.ClusterStatusRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { printStatus(w, r) })
		},
	}
}

func printStatus(w io.Writer, r admin.ClusterStatusReply) {
	if r.Cluster == "" {
		fmt.Fprintf(w, "this router is %s\n  to make a cluster: galleon cluster init --region REGION --zone ZONE\n  to join one: galleon join TOKEN\n", r.State)
		return
	}
	leader := "none"
	for _, m := range r.Members {
		if m.Router == r.Leader && r.Leader != 0 {
			leader = m.Name
		}
	}
	fmt.Fprintf(w, "cluster      %s, incarnation %d, %d regions, %d routers\n", r.Cluster, r.Incarnation, r.Regions, r.Routers)
	fmt.Fprintf(w, "this router  %s (%s), %s, version %s\n", r.Name, r.Router, r.Role, r.Version)
	fmt.Fprintf(w, "leader       %s, term %d\n", leader, r.Term)
	fmt.Fprintf(w, "log          commit %d, applied %d, state %.12s\n", r.Commit, r.Applied, r.StateHash)
	fmt.Fprintf(w, "audit        %d entries, head %.12s\n", r.AuditSeq, r.AuditHash)
	fmt.Fprintf(w, "timeouts     %s\n", r.Timeouts)
	fmt.Fprintf(w, "certificate  ends %s\n", ago(r.CertExpires))
	fmt.Fprintf(w, "forward      %s\n\n", r.Forward)
	if r.Problem != "" {
		fmt.Fprintf(w, "%s\n\n", r.Problem)
	}
	t := newTable("ROUTER", "NAME", "REGION", "ROLE", ">RTT", "LAST CONTACT", ">APPLIED")
	for _, m := range r.Members {
		t.row(m.Router, m.Name, m.Region, m.Role, ms(m.RTT), ago(m.LastContact), m.Applied)
	}
	t.print(w, "no members known")
}

func clusterAudit(c *cli) *cobra.Command {
	var last int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show what was changed, by whom, when and why, and check the chain",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().ClusterAudit(cmd.Context(), admin.ClusterAuditRequest{Last: last})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable(">SEQ", "TIME", "AUTHOR", "WHAT", "REASON")
				for _, e := range r.Entries {
					t.row(e.Seq, e.Time.Local().Format("2006-01-02 15:04:05"), e.Author, e.What, e.Reason)
				}
				t.print(w, "nothing was changed yet")
				if r.Verified {
					fmt.Fprintln(w, "\nthe chain of hashes holds up to the state's head")
				} else {
					fmt.Fprintln(w, "\nTHE CHAIN IS BROKEN:", r.Problem)
				}
			})
		},
	}
	cmd.Flags().IntVar(&last, "last", 50, "how many of the newest entries")
	return cmd
}

func joinCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "join TOKEN",
		Short: "Make this router join a cluster",
		Long:  "Make this router join a cluster. The token says everything: where the cluster is, how to know it, which region and zone this is.",
		Args:  exactArgs("a token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.client().ClusterJoin(cmd.Context(), admin.ClusterJoinRequest{Token: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "joined cluster %s as %s (%s) in %s\n", r.Cluster, r.Name, r.Router, r.Zone)
				if len(r.Prefixes) > 0 {
					fmt.Fprintf(w, "announcing %s\n", prefixes(r.Prefixes))
				}
			})
		},
	}
}

func versionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			return c.show(map[string]string{"version": version}, func(w io.Writer) { fmt.Fprintln(w, "galleon", version) })
		},
	}
}

// version is set by releases with -ldflags.
var version = "0.1.0-dev"

// require marks flags without which a command makes no sense.
func require(cmd *cobra.Command, names ...string) {
	for _, n := range names {
		if err := cmd.MarkFlagRequired(n); err != nil {
			panic(fmt.Sprintf("command %s has no flag %s", cmd.Name(), n))
		}
	}
}

func parsePrefixes(list []string) ([]topo.SegPrefix, error) {
	var out []topo.SegPrefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("prefix %q: want an address and a length, like 10.8.0.0/24", s)
		}
		out = append(out, topo.SegPrefix{Prefix: p})
	}
	return out, nil
}
