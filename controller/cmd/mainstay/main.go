// Mainstay keeps GitOps standing when a worker falls: "mainstay controller"
// runs in the cluster, the other verbs serve people and pull requests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker, whose -X needs a variable.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mainstay:", err)
		os.Exit(exitCode(err))
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "mainstay",
		Short:         "Keeps GitOps standing when a worker falls",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newControllerCommand(), newRenderCommand(), newCheckCommand(), newVersionCommand())
	return cmd
}
