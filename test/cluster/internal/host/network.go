package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// linkAlias is on every link that is made here. A link without it is somebody
// else's, whatever its name.
const linkAlias = "mainstay test cluster"

// link is a link of this machine, as ip -json tells it.
type link struct {
	Name      string `json:"ifname"`
	Alias     string `json:"ifalias"`
	Addresses []struct {
		Local string `json:"local"`
		Bits  int    `json:"prefixlen"`
	} `json:"addr_info"`
}

// hardware is the locally administered hardware address of a worker, or of this machine
// on the bridge as worker 0. Those that the kernel chooses change: a bridge has the lowest
// one of its links, which goes when that worker dies, and a worker that comes back gets a
// new one. Neighbours would send to the former address for up to a minute: the death of
// one worker could cut all others off from this machine.
func (i *Instance) hardware(worker int) string {
	return fmt.Sprintf("02:6d:73:%02x:00:%02x", i.Number, worker)
}

// Network makes the bridge, with this machine's address on it, and the routes to the
// pods of the first workers.
func (i *Instance) Network(ctx context.Context, workers int) error {
	var batch strings.Builder
	_, _ = fmt.Fprintf(&batch, "link add %s address %s type bridge\n", i.Bridge(), i.hardware(0))
	_, _ = fmt.Fprintf(&batch, "link set %s alias %q\n", i.Bridge(), linkAlias)
	_, _ = fmt.Fprintf(&batch, "address add %s/24 dev %s\n", i.HostIP(), i.Bridge())
	_, _ = fmt.Fprintf(&batch, "link set %s up\n", i.Bridge())
	for worker := 1; worker <= workers; worker++ {
		_, _ = fmt.Fprintf(&batch, "route add %s via %s\n", i.PodCIDR(worker), i.WorkerIP(worker))
	}
	if _, err := command(ctx, strings.NewReader(batch.String()), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("making the bridge %s: %w", i.Bridge(), err)
	}
	return nil
}

// Connect joins the network namespace of the process pid, a worker's init, to the
// bridge: its side is eth0, without an address yet.
func (i *Instance) Connect(ctx context.Context, worker, pid int) error {
	name := i.Link(worker)
	// The kernel removes the link of a namespace that has ended, but takes its time.
	if err := removeLinks(ctx, func(other string) bool { return other == name }); err != nil {
		return err
	}
	batch := fmt.Sprintf("link add %s master %s up type veth peer name eth0 address %s netns %d\nlink set %s alias %q\n",
		name, i.Bridge(), i.hardware(worker), pid, name, linkAlias)
	if _, err := command(ctx, strings.NewReader(batch), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("joining a worker to the bridge %s: %w", i.Bridge(), err)
	}
	return nil
}

// named reports whether a link has a name that the instance uses.
func (i *Instance) named(link string) bool {
	return link == i.Bridge() || regexp.MustCompile(fmt.Sprintf(`^ms%dw\d+$`, i.Number)).MatchString(link)
}

// removeNetwork removes the bridge, the workers' links and, as they go through it,
// the routes.
func (i *Instance) removeNetwork(ctx context.Context) error { return removeLinks(ctx, i.named) }

// removeLinks removes the links with such names that were made here.
func removeLinks(ctx context.Context, named func(name string) bool) error {
	all, err := links(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Alias == linkAlias && named(l.Name) {
			if err := removeLink(ctx, l.Name); err != nil {
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
	all, listErr := links(ctx)
	if listErr != nil {
		return listErr
	}
	if slices.ContainsFunc(all, func(l link) bool { return l.Name == name }) {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}

// links lists this machine's links. Without the details ip leaves aliases out.
func links(ctx context.Context) ([]link, error) {
	var all []link
	err := listed(ctx, &all, "-json", "-details", "address", "show")
	return all, err
}

// listed has ip print a list, and reads it. A list that changes meanwhile makes ip
// complain, but on its standard error.
func listed(ctx context.Context, list any, args ...string) error {
	what := "ip " + strings.Join(args, " ")
	text, err := newCommand(ctx, "ip", args...).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, list); err != nil {
		return fmt.Errorf("reading what %s says: %w", what, err)
	}
	return nil
}

// newCommand is a command that finds the programs of the system's folders also where
// a user's PATH lacks them.
func newCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, Find(name), args...)
}
