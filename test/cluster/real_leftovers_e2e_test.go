//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// trace is what there may be of a cluster with real workers outside its folder.
type trace struct {
	dir        string
	number     string          // among the real clusters of this machine
	namespaces map[string]bool // of network, of its processes
}

// traceOf finds the number that the cluster in dir has taken.
func traceOf(t *testing.T, dir string) trace {
	t.Helper()
	for number := range 16 {
		text, err := os.ReadFile(fmt.Sprintf("/run/mainstay-cluster/%d", number))
		if err == nil && string(text) == dir {
			tr := trace{dir: dir, number: fmt.Sprint(number)}
			tr.namespaces = tr.networks(t)
			return tr
		}
	}
	t.Fatalf("the cluster in %s has no number", dir)
	return trace{}
}

// networks lists the network namespaces of the processes in the cluster's cgroups.
func (tr trace) networks(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("/sys/fs/cgroup/pids/mainstay-"+tr.number, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for pid := range strings.FieldsSeq(string(text)) {
			if name, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil {
				found[name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// left lists what there is of the cluster.
func (tr trace) left(t *testing.T) []string {
	t.Helper()
	var left []string
	add := func(format string, args ...any) { left = append(left, fmt.Sprintf(format, args...)) }
	if _, err := os.Stat(tr.dir); !os.IsNotExist(err) {
		add("folder")
	}
	if n := processesOf(t, tr.dir); n > 0 {
		add("%d processes", n)
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && tr.namespaces[name] {
			add("network namespace of %s", link)
		}
	}
	mounts, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mounts {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), tr.dir) {
			add("mounts in %s", file)
		}
	}
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/mainstay-" + tr.number)
	if err != nil {
		t.Fatal(err)
	}
	if len(cgroups) > 0 {
		add("cgroups %v", cgroups)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name == "mainstay"+tr.number || strings.HasPrefix(i.Name, "ms"+tr.number+"w") {
			add("link %s", i.Name)
		}
	}
	var n int
	if _, err := fmt.Sscan(tr.number, &n); err != nil {
		t.Fatal(err)
	}
	routes, err := exec.CommandContext(t.Context(), "ip", "route", "show", "table", "all").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, routes)
	}
	for _, prefix := range []string{fmt.Sprintf("10.89.%d.", n), fmt.Sprintf("10.%d.", 100+n)} {
		if strings.Contains(string(routes), prefix) {
			add("routes to %s", prefix)
		}
	}
	return left
}

// settings are those of the kernel that real clusters change, and the rules of this
// machine's firewall, which they do not.
func settings(t *testing.T) string {
	t.Helper()
	names := []string{
		"net.ipv4.ip_forward", "fs.inotify.max_user_instances", "vm.overcommit_memory", "vm.panic_on_oom",
		"kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes",
		"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
	}
	out, err := exec.CommandContext(t.Context(), "sysctl", names...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rules, err := exec.CommandContext(t.Context(), "nft", "--stateless", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, rules)
	}
	return string(out) + string(rules)
}

// others reports whether another real cluster runs on this machine, which keeps the
// kernel's settings as they are.
func others(t *testing.T) bool {
	t.Helper()
	_, err := os.Stat("/run/mainstay-cluster/kernel.json")
	return err == nil
}

// Each case ends a cluster in another way.
func TestNothingIsLeftOfRealWorkers(t *testing.T) {
	end := map[string]func(t *testing.T) trace{
		"stopped": func(t *testing.T) trace {
			t.Helper()
			c, err := cluster.Start(t.Context(), cluster.Options{Real: true, Workers: 1, Out: t.Output()})
			if err != nil {
				t.Fatal(err)
			}
			tr := traceOf(t, c.Dir())
			if got := tr.left(t); len(got) < 6 {
				t.Errorf("while the cluster runs there are only %q", got)
			}
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
			return tr
		},
		"the owner is killed": func(t *testing.T) trace {
			t.Helper()
			return endChild(t, os.Kill)
		},
		"the owner is interrupted": func(t *testing.T) trace {
			t.Helper()
			return endChild(t, os.Interrupt)
		},
		"kept and stopped by another process": func(t *testing.T) trace {
			t.Helper()
			cmd, dir := child(t, "real keep")
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			tr := traceOf(t, dir)
			if err := cluster.StopDir(dir); err != nil {
				t.Error(err)
			}
			return tr
		},
	}
	for _, name := range []string{"stopped", "the owner is killed", "the owner is interrupted", "kept and stopped by another process"} {
		t.Run(name, func(t *testing.T) {
			alone, before := !others(t), settings(t)
			tr := end[name](t)
			eventually(t, func(context.Context) string {
				if left := tr.left(t); len(left) > 0 {
					return strings.Join(left, ", ")
				}
				return ""
			})
			if alone && !others(t) {
				if after := settings(t); after != before {
					t.Errorf("settings before\n%s\nand after\n%s", before, after)
				}
			} else {
				t.Log("another real cluster runs: the kernel's settings stay changed, and were not compared")
			}
		})
	}
}

func endChild(t *testing.T, sig os.Signal) trace {
	t.Helper()
	cmd, dir := child(t, "real hang")
	tr := traceOf(t, dir)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, and says so
	return tr
}

// The watchdog is killed with the owner: what they leave is removed by the next start.
func TestSweepOfRealWorkers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cmd, dir := child(t, "real hang")
	tr := traceOf(t, dir)
	for _, pid := range watchdogs(t, dir) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, and says so
	if left := tr.left(t); !slices.Contains(left, "link mainstay"+tr.number) {
		t.Fatalf("without owner and watchdog there is only %v", left)
	}
	// A folder is not taken for left as long as somebody may be about to lock it.
	old := syscall.NsecToTimespec(0)
	if err := syscall.UtimesNano(dir, []syscall.Timespec{old, old}); err != nil {
		t.Fatal(err)
	}
	start(t, cluster.Options{Out: t.Output()})
	if left := tr.left(t); len(left) > 0 {
		t.Errorf("after the next start there is %v", left)
	}
}

// watchdogs lists the processes that watch over the cluster in dir.
func watchdogs(t *testing.T, dir string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "mainstay-watchdog\x00"+dir+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		t.Fatalf("nobody watches over %s", dir)
	}
	return pids
}
