package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var opts options
	flag.StringVar(&opts.mainstay, "mainstay", "bin/mainstay", "path of the mainstay program")
	flag.StringVar(&opts.timeline, "timeline", "build/demo/timeline.json", "file that the timeline is written to")
	flag.BoolVar(&opts.keep, "keep", false, "leave the cluster and the controllers running")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type options struct {
	mainstay, timeline string
	keep               bool
}

func run(ctx context.Context, opts options) (err error) {
	story := newStory(os.Stdout, time.Now())
	d := &demo{story: story, opts: opts}
	defer func() {
		err = errors.Join(err, story.write(opts.timeline, err))
		if opts.keep && d.cluster != nil {
			d.sayHowToGoOn()
			return
		}
		err = errors.Join(err, d.stop())
	}()
	for _, step := range d.steps() {
		if err := story.play(ctx, step); err != nil {
			return err
		}
	}
	return nil
}
