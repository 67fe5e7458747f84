package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// mount is a line of mountinfo.
type mount struct{ point, kind, options string }

// readMounts lists the mounts of this process's namespace.
func readMounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mounts: %w", err)
	}
	return parseMounts(string(text)), nil
}

// parseMounts reads mountinfo, proc_pid_mountinfo(5): the mount point is the fifth
// field, and after a lone dash come the kind, the source and the superblock's options.
func parseMounts(text string) []mount {
	var all []mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+4 {
			continue
		}
		all = append(all, mount{unescape(fields[4]), fields[dash+1], fields[dash+3]})
	}
	return all
}

// unescape turns the kernel's octal escapes back.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// unmountBelow unmounts what is mounted in a folder, the innermost first. Workers
// mount in namespaces of their own, so there is nothing unless somebody else did.
func unmountBelow(dir string) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, point := range below(mounts, dir) {
		if err := unmount(point); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}

// below lists the mount points in a folder, the innermost first. No folder, which ""
// is, has any.
func below(mounts []mount, dir string) []string {
	var points []string
	for _, m := range slices.Backward(mounts) {
		if dir != "" && strings.HasPrefix(m.point, dir+"/") {
			points = append(points, m.point)
		}
	}
	return points
}
