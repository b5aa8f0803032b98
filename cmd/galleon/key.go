package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func keyCommand(c *cli) *cobra.Command {
	return group("key", "Access keys for the object endpoints", keyCreate(c), keyList(c), keyDelete(c))
}

func keyCreate(c *cli) *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use: "create", Short: "Make an access key that is good at every region's endpoint", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().KeyCreate(cmd.Context(), admin.KeyCreateRequest{Change: c.change(), Description: description})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n\nThe secret is shown once.\n", r.ID, r.Secret)
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "whose key it is, or what for")
	return cmd
}

func keyList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List access keys, without their secrets", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.client().KeyList(cmd.Context(), admin.KeyListRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				t := newTable("KEY", "DESCRIPTION", "CREATED")
				for _, k := range r.Keys {
					t.row(k.ID, k.Description, ago(k.Created))
				}
				t.print(w, "no access keys; make one with: galleon key create")
			})
		},
	}
}

func keyDelete(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "delete KEY", Short: "Remove an access key", Args: exactArgs("a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := c.client().KeyDelete(cmd.Context(), admin.KeyDeleteRequest{Change: c.change(), ID: args[0]}); err != nil {
				return err
			}
			return c.done("access key %s is gone", args[0])
		},
	}
}
