// Command pause holds the namespaces of a pod open until it is told to end. Where the
// containers of a pod share a process namespace it is their init process, so it
// reaps the processes that they leave behind.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A channel each: children that end must not take the place of the order to end.
	end, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	// One may have ended before the signals were asked for.
	reap()
	for {
		select {
		case <-end:
			return
		case <-child:
			reap()
		}
	}
}

// reap collects every process that has ended. One signal can stand for several.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return
		}
	}
}
