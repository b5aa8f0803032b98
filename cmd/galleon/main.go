// Command galleon is what operators type. It speaks to the daemon on this machine, and through it to any
// router of the cluster; every command has a table for people and --json for programs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(os.Stdout)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "galleon:", explain(err))
		os.Exit(1)
	}
}

// cli is what every command gets: where the daemon is and how to print.
type cli struct {
	out    io.Writer
	json   bool
	socket string
	router string
	reason string
	dial   func(c *cli) *admin.Client
}

// newRoot makes the whole command tree; tests make it with a client of their own.
func newRoot(out io.Writer) *cobra.Command {
	return newRootWith(&cli{out: out, dial: func(c *cli) *admin.Client { return admin.NewUnixClient(c.socket) }})
}

func newRootWith(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:           "galleon",
		Short:         "Operate a Galleon fabric: regions, routes, tokens, buckets and policies",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(c.out)
	f := root.PersistentFlags()
	f.StringVar(&c.socket, "socket", defaultSocket(), "the daemon's socket (also GALLEON_SOCKET)")
	f.StringVar(&c.router, "router", "", "ask this router, by name or number, instead of the one on this machine")
	f.BoolVar(&c.json, "json", false, "print JSON for programs")
	f.StringVar(&c.reason, "reason", "", "why, for the audit trail")
	root.AddCommand(
		clusterCommand(c), joinCommand(c), tokenCommand(c), routerCommand(c), linkCommand(c), pathCommand(c), routeCommand(c),
		prefixCommand(c), poolCommand(c), bucketCommand(c), policyCommand(c), keyCommand(c), replicationCommand(c),
		objectCommand(c), conflictsCommand(c), versionCommand(c),
	)
	return root
}

func defaultSocket() string {
	if s := os.Getenv("GALLEON_SOCKET"); s != "" {
		return s
	}
	return config.Default().AdminSocket()
}

// client gives the API of the router that is meant.
func (c *cli) client() admin.API {
	cl := c.dial(c)
	if c.router != "" {
		return cl.At(c.router)
	}
	return cl
}

// change says who asks and why. The daemon adds the account that it sees on the socket.
func (c *cli) change() admin.Change { return admin.Change{Reason: c.reason} }

// show prints a reply: as JSON, or by the function for people.
func (c *cli) show(reply any, human func(w io.Writer)) error {
	if !c.json {
		human(c.out)
		return nil
	}
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(reply)
}

// done prints one line for what was done, or an empty object.
func (c *cli) done(format string, a ...any) error {
	return c.show(admin.Empty{}, func(w io.Writer) { fmt.Fprintf(w, format+"\n", a...) })
}

// explain turns an error into what a person can act on.
func explain(err error) string {
	var refused *admin.Error
	if errors.As(err, &refused) {
		return refused.Error()
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		if strings.Contains(err.Error(), "dial unix") {
			return "no galleond answers on this machine's socket\n  start it with: galleond --config FILE, or name its socket with --socket"
		}
	}
	if errors.Is(err, os.ErrPermission) && strings.Contains(err.Error(), "dial unix") {
		who := "this account"
		if u, uerr := user.Current(); uerr == nil {
			who = u.Username
		}
		return fmt.Sprintf("%s may not use the daemon's socket\n  run as the account that galleond runs as, usually root", who)
	}
	if s := err.Error(); strings.HasPrefix(s, "unknown command") || strings.HasPrefix(s, "unknown flag") || strings.HasPrefix(s, "required flag") {
		return s + "\n  add --help to the command to see how it is used"
	}
	return err.Error()
}

// group is a command that only has others below it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(commands...)
	return cmd
}

// exactArgs is cobra.ExactArgs with the names of what is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%s wants %s\n  usage: %s", strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" "), strings.Join(names, " and "), cmd.UseLine())
		}
		return nil
	}
}
