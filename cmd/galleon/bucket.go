package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func bucketCommand(c *cli) *cobra.Command {
	return group("bucket", "Create, list and delete buckets", bucketCreate(c), bucketList(c), bucketDelete(c))
}

func bucketCreate(c *cli) *cobra.Command {
	req := admin.BucketCreateRequest{}
	var ack string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a bucket, the same in every region", Args: exactArgs("a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Change, req.Name = c.change(), args[0]
			if err := req.Ack.UnmarshalText([]byte(ack)); err != nil {
				return err
			}
			r, err := c.client().BucketCreate(cmd.Context(), req)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "bucket %s is made; a write returns once it is safe: %s\n", r.Bucket.Name, r.Bucket.Ack)
			})
		},
	}
	cmd.Flags().BoolVar(&req.Versioning, "versioning", false, "keep old versions")
	cmd.Flags().StringVar(&ack, "ack", "local", "when a write returns: local, zone or regions:N")
	return cmd
}

func bucketList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List buckets and what this router holds of them", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().BucketList(cmd.Context(), admin.BucketListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("BUCKET", "ACK", "VERSIONING", ">OBJECTS HERE", ">BYTES HERE", "CREATED")
				for _, b := range r.Buckets {
					t.row(b.Name, b.Ack, map[bool]string{true: "on", false: "off"}[b.Versioning], b.Objects, size(b.Bytes), ago(b.Created))
				}
				t.print(w, "no buckets; make one with: galleon bucket create NAME")
			})
		},
	}
}

func bucketDelete(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove an empty bucket", Args: exactArgs("a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := c.client().BucketDelete(cmd.Context(), admin.BucketDeleteRequest{Change: c.change(), Name: args[0]}); err != nil {
				return err
			}
			return c.done("bucket %s is gone", args[0])
		},
	}
}
