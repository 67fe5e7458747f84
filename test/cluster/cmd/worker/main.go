// Command worker is what test/cluster runs real workers with. It is built into the
// cluster's folder and not for use by hand.
//
//	worker launch <worker's folder>     starts the worker and ends with it
//	worker init <worker's folder>       is the worker's first process
//	worker cleanup <cluster's folder>   removes what the cluster left outside its workers
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
	"github.com/mainstay-dev/mainstay/test/cluster/internal/node"
)

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(context.Background(), os.Args[1:]); err != nil {
		log.Fatal("worker: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: worker launch|init|cleanup <folder>")
	}
	switch verb, dir := args[0], args[1]; verb {
	case "launch":
		return node.Launch(ctx, dir)
	case "init":
		return node.Init(dir)
	case "cleanup":
		return host.Release(ctx, dir)
	default:
		return fmt.Errorf("no verb is named %q", verb)
	}
}
