// Command tool prints the paths of pinned tools, one a line, and builds those that
// the cache does not have yet. "control-plane" stands for all programs of the test
// control plane.
//
//	go run ./test/cluster/cmd/tool controller-gen
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("tool: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	var names []string
	for _, arg := range args {
		if arg == "control-plane" {
			names = append(names, tools.ControlPlane()...)
			continue
		}
		names = append(names, arg)
	}
	if len(names) == 0 {
		return fmt.Errorf("name the tools, or control-plane")
	}
	builder, err := tools.Default(os.Stderr)
	if err != nil {
		return err
	}
	paths, err := builder.Build(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(os.Stdout, paths[name]); err != nil {
			return err
		}
	}
	return nil
}
