package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
)

func policyCommand(c *cli) *cobra.Command {
	return group("policy", "Say which objects go from where to where", policyApply(c), policyList(c), policyDelete(c))
}

func policyApply(c *cli) *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply --file FILE",
		Short: "Create or replace the policies of a file, all or none",
		Long: `Create or replace the policies of a file, all or none. A policy looks like this:

  name: weights
  bucket: models
  prefix: llm/            # only keys that begin so; leave out for all
  from: [cn-hangzhou]     # regions where the write is made, or all
  to: [mx-queretaro]      # regions that get a copy, or all
  priority: 10            # 0 to 100; the greater goes first
  keep_deleted: false     # true: deletes are not copied`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ps, err := config.LoadPolicies(file)
			if err != nil {
				return err
			}
			r, err := c.client().PolicyApply(cmd.Context(), admin.PolicyApplyRequest{Change: c.change(), Policies: ps, DryRun: dry})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("POLICY", "OUTCOME", "COPIES GO TO")
				for _, p := range r.Results {
					t.row(p.Name, p.Outcome, regions(p.Targets))
				}
				t.print(w, "nothing to do")
				if dry {
					fmt.Fprintln(w, "\nnothing was changed: this was a dry run")
				}
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the file with the policies (YAML)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check and say what would change")
	require(cmd, "file")
	return cmd
}

func policyList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the policies", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().PolicyList(cmd.Context(), admin.PolicyListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("POLICY", "BUCKET", "PREFIX", "FROM", "TO", ">PRIORITY")
				for _, p := range r.Policies {
					t.row(p.Name, p.Bucket, p.Prefix, p.From, p.To, p.Priority)
				}
				t.print(w, "no policies; apply some with: galleon policy apply --file FILE")
			})
		},
	}
}

func policyDelete(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove a policy; what it copied stays", Args: exactArgs("a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := c.client().PolicyDelete(cmd.Context(), admin.PolicyDeleteRequest{Change: c.change(), Name: args[0]}); err != nil {
				return err
			}
			return c.done("policy %s is gone; what it copied stays", args[0])
		},
	}
}
