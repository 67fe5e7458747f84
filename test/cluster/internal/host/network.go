package host

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
)

// Network makes the bridge, with this machine's address on it, and the routes to the
// pods of the first workers.
func (i *Instance) Network(ctx context.Context, workers int) error {
	var batch strings.Builder
	_, _ = fmt.Fprintf(&batch, "link add %s type bridge\n", i.Bridge())
	_, _ = fmt.Fprintf(&batch, "address add %s/24 dev %s\n", i.HostIP(), i.Bridge())
	_, _ = fmt.Fprintf(&batch, "link set %s up\n", i.Bridge())
	for worker := 1; worker <= workers; worker++ {
		_, _ = fmt.Fprintf(&batch, "route replace %s via %s\n", i.PodCIDR(worker), i.WorkerIP(worker))
	}
	if _, err := command(ctx, strings.NewReader(batch.String()), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("making the bridge %s: %w", i.Bridge(), err)
	}
	return nil
}

// Connect joins the network namespace of the process pid, a worker's init, to the
// bridge: its side is eth0, without an address yet.
func (i *Instance) Connect(ctx context.Context, worker, pid int) error {
	link := i.Link(worker)
	// The kernel removes the link of a namespace that has ended, but takes its time.
	if err := removeLink(ctx, link); err != nil {
		return err
	}
	batch := fmt.Sprintf("link add %s master %s up type veth peer name eth0 netns %d\n", link, i.Bridge(), pid)
	if _, err := command(ctx, strings.NewReader(batch), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("joining a worker to the bridge %s: %w", i.Bridge(), err)
	}
	return nil
}

// removeNetwork removes the bridge, the workers' links and, as they go through it,
// the routes.
func (i *Instance) removeNetwork(ctx context.Context) error {
	names, err := links()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == i.Bridge() || strings.HasPrefix(name, fmt.Sprintf("ms%dw", i.Number)) {
			if err := removeLink(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeLink removes a link; one that is not there is no error.
func removeLink(ctx context.Context, name string) error {
	_, err := command(ctx, nil, "ip", "link", "delete", "dev", name)
	if err == nil {
		return nil
	}
	names, listErr := links()
	if listErr != nil {
		return listErr
	}
	if slices.Contains(names, name) {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}

// links lists the names of this machine's links.
func links() ([]string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	var names []string
	for _, link := range list {
		names = append(names, link.Name)
	}
	return names, nil
}

// newCommand is a command that finds the programs of the system's folders also where
// a user's PATH lacks them.
func newCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, Find(name), args...)
}
