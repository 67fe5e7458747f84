package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	// PluginDir is where Debian's package has the CNI plugins.
	PluginDir = "/usr/lib/cni"
	// Packages is the make target that installs what is missing.
	Packages = "make e2e-packages"
)

// Check returns an error that names all that this machine lacks to run real workers.
func Check() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("real workers need Linux, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	var lacks []string
	if os.Geteuid() != 0 {
		lacks = append(lacks, "root")
	}
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, h := range hierarchies {
		for _, controller := range h.Controllers {
			have[controller] = true
		}
	}
	for _, controller := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids"} {
		if !have[controller] {
			lacks = append(lacks, "the cgroup v1 hierarchy of "+controller)
		}
	}
	missing := false
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "nft", "conntrack", "ip", "nsenter", "unshare"} {
		if !filepath.IsAbs(Find(name)) {
			lacks, missing = append(lacks, "the program "+name), true
		}
	}
	for _, plugin := range []string{"bridge", "host-local", "loopback", "portmap"} {
		if _, err := os.Stat(filepath.Join(PluginDir, plugin)); err != nil {
			lacks, missing = append(lacks, "the CNI plugin "+filepath.Join(PluginDir, plugin)), true
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	hint := ""
	if missing {
		hint = "; on Debian " + Packages + " installs programs and plugins"
	}
	return fmt.Errorf("real workers cannot run on this machine, it lacks %s%s", strings.Join(lacks, ", "), hint)
}

// Find returns the path of a program, looking also in the system's folders, which
// are not in everybody's PATH. The name alone means that there is none.
func Find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}
