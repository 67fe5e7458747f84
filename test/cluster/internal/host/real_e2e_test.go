//go:build e2e

package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// network gives the test a network of its own, which ends with it.
func network(t *testing.T) (ip func(args ...string) string) {
	t.Helper()
	// Never unlocked: the thread ends with the test, and the network with it.
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), Find("ip"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
		return string(out)
	}
}

// A cluster takes away what it made, and nothing that has a name like that.
func TestRealNetworkIsRemoved(t *testing.T) {
	ip := network(t)
	ip("link", "add", "ms3wan", "type", "bridge")
	ip("link", "add", "ms3w9", "type", "bridge")
	i := &Instance{Number: 3}
	if err := i.Network(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := i.Connect(t.Context(), 1, worker(t)); err != nil {
		t.Fatal(err)
	}
	if got := ip("link"); !strings.Contains(got, " mainstay3:") || !strings.Contains(got, " ms3w1@") {
		t.Errorf("links of a cluster that runs:\n%s", got)
	}
	if err := i.removeNetwork(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := ip("link")
	for name, want := range map[string]bool{" mainstay3:": false, " ms3w1@": false, " ms3wan:": true, " ms3w9:": true} {
		if strings.Contains(got, name) != want {
			t.Errorf("%s is there: %t, want %t:\n%s", name, !want, want, got)
		}
	}
}

// Whichever worker dies, and comes back, neither its own address nor this machine's is
// another one for those who know it.
func TestRealHardwareAddressesStay(t *testing.T) {
	ip := network(t)
	i := &Instance{Number: 3}
	if err := i.Network(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	connect := func(number int) (address string) {
		t.Helper()
		pid := worker(t)
		if err := i.Connect(t.Context(), number, pid); err != nil {
			t.Fatal(err)
		}
		out, err := command(t.Context(), nil, "nsenter", "--net", "--target", strconv.Itoa(pid), "--",
			Find("ip"), "-oneline", "link", "show", "dev", "eth0")
		if err != nil {
			t.Fatal(err)
		}
		return hardwareIn(t, out)
	}
	bridge := func() string { return hardwareIn(t, ip("-oneline", "link", "show", "dev", i.Bridge())) }
	before, workers := bridge(), map[int]string{}
	for number := 1; number <= 3; number++ {
		workers[number] = connect(number)
	}
	for number := 1; number <= 3; number++ {
		ip("link", "delete", "dev", i.Link(number))
		if got := bridge(); got != before {
			t.Errorf("without worker %d this machine has the address %s, want %s", number, got, before)
		}
		if got := connect(number); got != workers[number] {
			t.Errorf("worker %d comes back as %s, want %s", number, got, workers[number])
		}
	}
}

// worker starts a process with a network namespace of its own, and returns its id.
func worker(t *testing.T) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), Find("unshare"), "--net", "cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = child.Wait() })
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	err = poll(t.Context(), lockWait, func() (bool, error) {
		other, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(child.Process.Pid), "ns/net"))
		return other != own, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return child.Process.Pid
}

// hardwareIn is the hardware address in what ip says of a link.
func hardwareIn(t *testing.T, text string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "link/ether ")
	if !found {
		t.Fatalf("no hardware address: %s", text)
	}
	return strings.Fields(after)[0]
}

// Routes and links of others occupy a number, and what a cluster left does not.
func TestRealOccupied(t *testing.T) {
	ip := network(t)
	ip("link", "set", "lo", "up")
	ip("link", "add", "mainstay2", "type", "bridge")
	ip("route", "add", "blackhole", "10.103.0.0/16")
	ip("route", "add", "10.89.4.128/25", "dev", "lo", "table", "77")
	if err := (&Instance{Number: 5}).Network(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[int]bool{1: false, 2: true, 3: true, 4: true, 5: false, 6: false} {
		if got, err := occupied(t.Context(), number); err != nil || got != want {
			t.Errorf("%d is occupied: %t, %v, want %t", number, got, err, want)
		}
	}
	// A route that is there already is not taken over.
	ip("route", "add", "10.107.1.0/24", "dev", "lo")
	if err := (&Instance{Number: 7}).Network(t.Context(), 1); err == nil {
		t.Error("a route of somebody else was replaced")
	}
	if got := ip("route", "show", "10.107.1.0/24"); !strings.Contains(got, "dev lo") {
		t.Errorf("the route of somebody else is %q", got)
	}
}

// The next cluster of a number unmounts what is in the folder of the one before.
func TestRealTakeUnmountsTheDeadClustersFolder(t *testing.T) {
	instance := lastFree(t)
	dead, next := t.TempDir(), t.TempDir()
	point := filepath.Join(dead, "mounted")
	if err := os.Mkdir(point, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", point, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(point, syscall.MNT_DETACH) })
	instance.Dir = next
	if err := instance.record(dead); err != nil {
		t.Fatal(err)
	}
	if err := instance.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	mounts, err := readMounts()
	if err != nil {
		t.Fatal(err)
	}
	if got := below(mounts, dead); len(got) > 0 {
		t.Errorf("%q is still mounted", got)
	}
	if got, err := recorded(instance.Number); err != nil || got != next {
		t.Errorf("recorded is %q, %v, want %q", got, err, next)
	}
}

// lastFree locks the highest number that nobody has: real clusters take the lowest.
func lastFree(t *testing.T) *Instance {
	t.Helper()
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for number := maxInstances - 1; number >= 0; number-- {
		lock, err := tryLock(instanceFile(number))
		if err != nil {
			t.Fatal(err)
		}
		if lock == nil {
			continue
		}
		instance := &Instance{Number: number, lock: lock}
		t.Cleanup(func() {
			if err := instance.record(""); err != nil {
				t.Error(err)
			}
			_ = lock.Close()
		})
		return instance
	}
	t.Fatal("every number is taken")
	return nil
}
