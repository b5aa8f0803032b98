package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func replicationCommand(c *cli) *cobra.Command {
	var bucket string
	status := &cobra.Command{
		Use: "status", Short: "Show every flow that this router sends or receives, and how far it is behind", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().ReplicationStatus(cmd.Context(), admin.ReplicationStatusRequest{Bucket: bucket})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("POLICY", "BUCKET", "FROM", "TO", "PHASE", ">PENDING", ">BYTES", "OLDEST", ">DONE", ">ON THE WIRE", "LAST ERROR")
				for _, f := range r.Flows {
					t.row(f.Policy, f.Bucket, f.From, f.To, f.Phase, f.PendingObjects, size(f.PendingBytes), ago(f.OldestPending), f.DoneObjects, size(f.WireBytes), f.LastError)
				}
				t.print(w, "nothing is replicated; say what should be with: galleon policy apply --file FILE")
			})
		},
	}
	status.Flags().StringVar(&bucket, "bucket", "", "only this bucket")
	return group("replication", "Look at replication", status)
}

func objectCommand(c *cli) *cobra.Command {
	status := &cobra.Command{
		Use: "status s3://BUCKET/KEY", Short: "Show where an object is and where it still has to go", Args: exactArgs("an object"),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket, key, ok := strings.Cut(strings.TrimPrefix(args[0], "s3://"), "/")
			if !ok || bucket == "" || key == "" {
				return fmt.Errorf("%q: want s3://BUCKET/KEY", args[0])
			}
			r, err := c.client().ObjectStatus(cmd.Context(), admin.ObjectStatusRequest{Bucket: bucket, Key: key})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				v := r.Version
				fmt.Fprintf(w, "%s/%s   %s, written in %s %s   %s\n\n", v.Bucket, v.Key, size(v.Size), v.Region, ago(v.Modified), r.Status)
				t := newTable("POLICY", "ROUTER", "REGION", "STATUS", "DETAIL")
				for _, d := range r.Destinations {
					t.row(d.Policy, d.Router, d.Region, d.Status, d.Detail)
				}
				t.print(w, "no policy sends it anywhere from here")
			})
		},
	}
	return group("object", "Look at one object", status)
}

func conflictsCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "conflicts BUCKET", Short: "List versions that lost against a write in another region", Args: exactArgs("a bucket"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.client().ConflictList(cmd.Context(), admin.ConflictListRequest{Bucket: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("KEY", "REGION", ">SIZE", "WRITTEN", "ETAG")
				for _, v := range r.Versions {
					t.row(v.Key, v.Region, size(v.Size), ago(v.Modified), v.ETag)
				}
				t.print(w, "no conflicts")
			})
		},
	}
}
