package host

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names and addresses of no two clusters, and of no two workers, may be the same.
func TestInstancesAreApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var networks []netip.Prefix
	once := func(value string) {
		if seen[value] {
			t.Errorf("%s is given twice", value)
		}
		seen[value] = true
	}
	for number := range maxInstances {
		i := &Instance{Number: number}
		once(i.Bridge())
		once(i.HostIP())
		once(i.Cgroup())
		once(i.hardware(0))
		if len(i.Bridge()) > 15 {
			t.Errorf("the kernel takes no link named %s", i.Bridge())
		}
		for _, text := range []string{i.HostIP() + "/24", i.ClusterCIDR()} {
			network := netip.MustParsePrefix(text).Masked()
			for _, other := range networks {
				if network.Overlaps(other) {
					t.Errorf("%s overlaps %s", network, other)
				}
			}
			networks = append(networks, network)
		}
		for worker := 1; worker <= 20; worker++ {
			once(i.WorkerIP(worker))
			once(i.PodCIDR(worker))
			once(i.Link(worker))
			once(i.hardware(worker))
			if len(i.Link(worker)) > 15 {
				t.Errorf("the kernel takes no link named %s", i.Link(worker))
			}
			if !netip.MustParsePrefix(i.ClusterCIDR()).Overlaps(netip.MustParsePrefix(i.PodCIDR(worker))) {
				t.Errorf("%s is not in %s", i.PodCIDR(worker), i.ClusterCIDR())
			}
			if strings.HasPrefix(i.Link(worker), i.Bridge()) {
				t.Errorf("%s is named like the bridge", i.Link(worker))
			}
		}
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	instance := &Instance{Number: 3}
	for network, want := range map[string]bool{
		"10.89.3.200/24": true, "10.89.0.1/16": true, "10.0.0.1/8": true, "10.103.9.9/32": true, "10.103.9.9": true,
		"10.89.4.1/24": false, "192.0.2.2/24": false, "192.0.2.2": false, "fe80::1/64": false, "rubbish": false,
		"default": false, "0.0.0.0/1": false,
	} {
		if got := instance.overlaps(network); got != want {
			t.Errorf("%s: %t, want %t", network, got, want)
		}
	}
}

func TestParseMounts(t *testing.T) {
	t.Parallel()
	const text = `30 23 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
31 23 0:27 / /mnt/a\040b rw - ext4 /dev/vda rw
32 23 0:28 / /sys/fs/cgroup/unified rw shared:1 master:2 - cgroup2 cgroup2 rw
rubbish
33 23 0:29 / /half rw - ext4
`
	want := []mount{
		{"/sys/fs/cgroup/cpu", "cgroup", "rw,cpu,cpuacct"},
		{"/mnt/a b", "ext4", "rw"},
		{"/sys/fs/cgroup/unified", "cgroup2", "rw"},
	}
	if diff := cmp.Diff(want, parseMounts(text), cmp.AllowUnexported(mount{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Only mounts in the folder are listed, and none when no folder is known.
func TestBelow(t *testing.T) {
	t.Parallel()
	mounts := []mount{{point: "/"}, {point: "/tmp/c"}, {point: "/tmp/c/a"}, {point: "/tmp/c/a/b"}, {point: "/tmp/c2/a"}}
	for dir, want := range map[string][]string{"/tmp/c": {"/tmp/c/a/b", "/tmp/c/a"}, "/tmp/other": nil, "": nil} {
		if diff := cmp.Diff(want, below(mounts, dir)); diff != "" {
			t.Errorf("below %q: -want +got\n%s", dir, diff)
		}
	}
}
