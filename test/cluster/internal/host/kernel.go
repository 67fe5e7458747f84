package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// savedFile has the kernel's settings from before the first real cluster, and is
// there while any runs.
const savedFile = "kernel.json"

// inotifyInstances is enough for twenty workers: each has containerd, a kubelet and
// pods that watch files, and the kernel's default is 128 for all of root.
const inotifyInstances = "8192"

// changed lists the settings that real clusters change: those that the first start
// sets, and with "" those that kubelets set (setupKernelTunables in the kubelet's
// container manager).
func changed() map[string]string {
	return map[string]string{
		"fs/inotify/max_user_instances": inotifyInstances,
		// Frames that cross the bridge are no business of this machine's firewall.
		"net/bridge/bridge-nf-call-iptables":  "0",
		"net/bridge/bridge-nf-call-ip6tables": "0",
		"vm/overcommit_memory":                "",
		"vm/panic_on_oom":                     "",
		"kernel/panic":                        "",
		"kernel/panic_on_oops":                "",
		"kernel/keys/root_maxkeys":            "",
		"kernel/keys/root_maxbytes":           "",
	}
}

// SetKernel makes the settings that workers need, and notes what they were.
func SetKernel(ctx context.Context) error {
	lock, err := waitLock(ctx, filepath.Join(stateDir, "kernel.lock"))
	if err != nil {
		return fmt.Errorf("changing the kernel's settings: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := saveKernel(filepath.Join(stateDir, savedFile)); err != nil {
		return fmt.Errorf("noting the kernel's settings: %w", err)
	}
	for name, value := range changed() {
		if value == "" {
			continue
		}
		if err := writeSetting(name, value); err != nil {
			return fmt.Errorf("changing the kernel's settings: %w", err)
		}
	}
	return nil
}

// saveKernel notes the settings, unless a cluster that runs has done so.
func saveKernel(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	values := map[string]string{}
	for name := range changed() {
		text, err := os.ReadFile(setting(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		values[name] = strings.TrimSpace(string(text))
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

// restoreKernel takes the settings back when no real cluster is left. The caller has
// given its own number back.
func restoreKernel(ctx context.Context) error {
	lock, err := waitLock(ctx, filepath.Join(stateDir, "kernel.lock"))
	if err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	defer func() { _ = lock.Close() }()
	for number := range maxInstances {
		if live, err := live(number); err != nil || live {
			return err
		}
	}
	path := filepath.Join(stateDir, savedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("restoring the kernel's settings from %s: %w", path, err)
	}
	var errs []error
	for name, value := range values {
		if _, ok := changed()[name]; ok {
			errs = append(errs, writeSetting(name, value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restoring the kernel's settings: %w", err)
	}
	return os.Remove(path)
}

func setting(name string) string { return filepath.Join("/proc/sys", name) }

// writeSetting writes a setting that differs. One that this kernel lacks is left.
func writeSetting(name, value string) error {
	text, err := os.ReadFile(setting(name))
	if errors.Is(err, os.ErrNotExist) || err == nil && strings.TrimSpace(string(text)) == value {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(setting(name), []byte(value), 0o644)
}
