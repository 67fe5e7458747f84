package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// cgroupMounts is where the hierarchies of cgroup v1 are mounted.
const cgroupMounts = "/sys/fs/cgroup"

// tryTimeout bounds one look at what the machine can do.
const tryTimeout = 10 * time.Second

// needRoot says why faults inside workers cannot be made by this process.
func needRoot() error {
	if runtime.GOOS != "linux" {
		return errors.New("real workers need Linux")
	}
	if os.Geteuid() != 0 {
		return errors.New("real workers need root")
	}
	return nil
}

// tryInNewNetwork runs a command in a network namespace of its own, which is gone
// afterwards.
func tryInNewNetwork(stdin, name string, args ...string) error {
	if err := needRoot(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--net", "--", name}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return run(cmd)
}

// needHierarchy says whether a cgroup v1 hierarchy has the file.
func needHierarchy(mounts, hierarchy, file, option string) error {
	if err := needRoot(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(mounts, hierarchy, file)); err != nil {
		return fmt.Errorf("cgroup v1 has no %s (kernel option %s): %w", file, option, err)
	}
	return nil
}

// run runs a command and has what it said in the error.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
