package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// savedFile has the kernel's settings from before the first real cluster, and is
	// there while any runs.
	savedFile = "kernel.json"
	// kernelLock is held by whoever changes the settings or takes them back.
	kernelLock = "kernel.lock"
)

// inotifyInstances is enough for twenty workers: each has containerd, a kubelet and
// pods that watch files, and the kernel's default is 128 for all of root.
const inotifyInstances = "8192"

// changed lists the settings that real clusters change. Those below vm/ and kernel/
// are what every kubelet sets (setupKernelTunables in its container manager).
func changed() map[string]string {
	return map[string]string{
		"fs/inotify/max_user_instances": inotifyInstances,
		// Frames that cross the bridge are no business of this machine's firewall.
		"net/bridge/bridge-nf-call-iptables":  "0",
		"net/bridge/bridge-nf-call-ip6tables": "0",
		"vm/overcommit_memory":                "1",
		"vm/panic_on_oom":                     "0",
		"kernel/panic":                        "10",
		"kernel/panic_on_oops":                "1",
		"kernel/keys/root_maxkeys":            "1000000",
		"kernel/keys/root_maxbytes":           "25000000",
	}
}

// kernel is the kernel whose settings are the files below sysctl. What they were is
// noted in the folder state, which has the files of the instances.
type kernel struct{ sysctl, state string }

// machine is this machine's kernel.
func machine() kernel { return kernel{sysctl: "/proc/sys", state: stateDir} }

// SetKernel makes the settings that workers need, and notes what they were.
func SetKernel(ctx context.Context) error { return machine().set(ctx) }

func (k kernel) set(ctx context.Context) error {
	lock, err := waitLock(ctx, filepath.Join(k.state, kernelLock))
	if err != nil {
		return fmt.Errorf("changing the kernel's settings: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := k.save(); err != nil {
		return fmt.Errorf("noting the kernel's settings: %w", err)
	}
	for name, value := range changed() {
		if err := k.write(name, value); err != nil {
			return fmt.Errorf("changing the kernel's settings: %w", err)
		}
	}
	return nil
}

// save notes the settings, unless a cluster that runs has done so.
func (k kernel) save() error {
	path := filepath.Join(k.state, savedFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	values := map[string]string{}
	for name := range changed() {
		value, err := k.read(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		values[name] = value
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	// A file that is half written would be taken for the truth by the next one.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// restore takes the settings back when no real cluster is left, but for those that
// somebody else has changed since. The caller has given its own number back.
func (k kernel) restore(ctx context.Context) error {
	lock, err := waitLock(ctx, filepath.Join(k.state, kernelLock))
	if err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	defer func() { _ = lock.Close() }()
	for number := range maxInstances {
		if live, err := live(filepath.Join(k.state, strconv.Itoa(number))); err != nil || live {
			return err
		}
	}
	path := filepath.Join(k.state, savedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	var before map[string]string
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("restoring the kernel's settings from %s: %w", path, err)
	}
	for name, ours := range changed() {
		value, noted := before[name]
		now, readErr := k.read(name)
		if noted && readErr == nil && now == ours {
			err = errors.Join(err, k.write(name, value))
		}
	}
	if err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	return os.Remove(path)
}

func (k kernel) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(k.sysctl, name))
	return strings.TrimSpace(string(text)), err
}

// write writes a setting that differs. One that this kernel lacks is left.
func (k kernel) write(name, value string) error {
	now, err := k.read(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && now == value {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.sysctl, name), []byte(value), 0o644)
}
