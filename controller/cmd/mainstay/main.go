// Mainstay keeps GitOps standing when a worker falls: "mainstay controller"
// runs in the cluster, the other verbs serve people and pull requests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/controller/internal/check/output"
)

// version is set by the linker, whose -X needs a variable; see programVersion.
var version = unversioned

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second one ends the process at once.
	context.AfterFunc(ctx, stop)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mainstay:", printable(err.Error()))
		os.Exit(exitCode(err))
	}
}

// printable is a message without what a terminal, or a CI system that reads the log
// for commands, would act on: a file that is checked may be anybody's, and messages
// quote it. Line ends stay.
func printable(message string) string {
	lines := strings.Split(message, "\n")
	for i := range lines {
		lines[i] = output.Line(lines[i])
	}
	return strings.Join(lines, "\n  ")
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                        "mainstay",
		Short:                      "Keeps GitOps standing when a worker falls",
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(usageError)
	cmd.AddCommand(newControllerCommand(), newRenderCommand(), newCheckCommand(),
		newUnlockCommand(), newLockCommand(), newVersionCommand())
	for _, verb := range cmd.Commands() {
		wanted := verb.Args
		verb.Args = func(cmd *cobra.Command, args []string) error { return usageError(cmd, wanted(cmd, args)) }
	}
	return cmd
}

// knownCommand says what somebody may have meant who got here with an argument.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return usageError(cmd, fmt.Errorf("unknown command %q, did you mean %s?", args[0], strings.Join(meant, " or ")))
	}
	return usageError(cmd, fmt.Errorf("unknown command %q", args[0]))
}
