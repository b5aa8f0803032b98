package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
)

func clusterBackup(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the catalog, as it is agreed on now, to a file",
		Long: `Write the catalog to a file: routers, grants, tokens, buckets, policies and keys. Its secrets are sealed under a
key that only the voters have (identity/vault.key in their data directories), so keep one of those as well, elsewhere.
Objects are not in it.`,
		Args: exactArgs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.client().ClusterBackup(cmd.Context(), admin.ClusterBackupRequest{})
			if err != nil {
				return err
			}
			if err := writeWhole(args[0], r.Data); err != nil {
				return err
			}
			n := len(r.Data)
			r.Data = nil
			return c.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "the catalog of cluster %s at index %d is in %s, %s\n", r.Cluster, r.Index, args[0], size(int64(n)))
			})
		},
	}
}

// writeWhole writes a file that is there whole or not at all, for its owner only.
func writeWhole(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func clusterTransfer(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [ROUTER]",
		Short: "Hand the leadership to another voter, or to the one that suits best",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var req admin.ClusterTransferRequest
			if len(args) == 1 {
				req.To = args[0]
			}
			r, err := c.client().ClusterTransfer(cmd.Context(), req)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { fmt.Fprintf(w, "%s leads\n", r.Leader) })
		},
	}
}
