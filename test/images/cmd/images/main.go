// Command images makes container images of a test cluster and prints the path of
// each archive with the names of the image in it, one image a line. Without
// arguments it makes all of them.
//
//	go run ./test/images/cmd/images coredns
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/images"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("images: ", err)
	}
}

func run(ctx context.Context, names []string) error {
	if len(names) == 0 {
		names = images.Names()
	}
	made, err := images.Build(ctx, os.Stderr, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := fmt.Println(made[name].Archive, strings.Join(made[name].Refs, " ")); err != nil {
			return err
		}
	}
	return nil
}
