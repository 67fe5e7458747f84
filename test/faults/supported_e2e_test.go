//go:build e2e

package faults

import (
	"strings"
	"testing"
	"time"
)

// A machine that lacks something is told what.
func TestSupportedNamesWhatIsMissing(t *testing.T) {
	nothing := t.TempDir() // no cgroup hierarchy is mounted here
	cases := map[string]struct {
		how  mechanism
		want string
	}{
		"no CPU hierarchy":                   {how: cpuQuota{mounts: nothing, percent: 5}, want: "x cannot be produced here: cgroup v1 has no cpu.cfs_quota_us (kernel option CONFIG_CFS_BANDWIDTH): "},
		"no memory hierarchy":                {how: newOOMKills(nothing), want: "x cannot be produced here: cgroup v1 has no memory.limit_in_bytes (kernel option CONFIG_MEMCG_V1): "},
		"no list of a container's processes": {how: stopped{mounts: nothing}, want: "x cannot be produced here: cgroup v1 has no cgroup.procs (kernel option CONFIG_MEMCG_V1): "},
		"a rule that the kernel does not know": {
			how:  netfilter{table: "x", chains: func(addresses) string { return chain("c", "nowhere", 0) }},
			want: "x cannot be produced here: unshare --net -- nft -f -: exit status 1: ",
		},
		"one part of two": {
			how:  together{newSlowLink(time.Second, 0), cpuQuota{mounts: nothing}},
			want: "x cannot be produced here: cgroup v1 has no cpu.cfs_quota_us",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := Fault{Name: "x", how: tc.how}.Supported()
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want it to begin with %q", err, tc.want)
			}
		})
	}
}

// What this package tests on this machine, it must be able to produce.
func TestAllAreSupportedHere(t *testing.T) {
	for _, f := range All() {
		if err := f.Supported(); err != nil {
			t.Error(err)
		}
	}
}
