package lifeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestLeader(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		leases func(w *world)
		want   *v1alpha1.Leader
	}{
		"no lease": {leases: func(*world) {}},
		"identity is the pod's name": {
			leases: func(w *world) { w.lease(ns, "l", "web-1", 0) },
			want:   &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "l"},
		},
		"identity is the pod's name and something unique": {
			leases: func(w *world) { w.lease(ns, "l", "web-1_1b4e28ba", 0) },
			want:   &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "l"},
		},
		"a longer name is another pod": {
			leases: func(w *world) { w.lease(ns, "l", "web-10_1b4e28ba", 0) },
		},
		"identity is the pod's name and a name of its own": {
			leases: func(w *world) {
				w.lease("kube-system", "cert-manager-controller", "web-1-external-cert-manager-controller", 0)
			},
			want: &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "cert-manager-controller"},
		},
		"the longest name is meant": {
			leases: func(w *world) {
				w.pod("web-1-external", "other-rs", "other", "a", epoch())
				w.lease(ns, "l", "web-1-external-1b4e_28ba", 0)
			},
		},
		"on the host's network, its node's name": {
			leases: func(w *world) {
				w.getPod("web-1").Spec.HostNetwork = true
				w.lease(ns, "l", "b-x7k2v", 0)
			},
			want: &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "l"},
		},
		"a node's name is no pod's that has a network of its own": {
			leases: func(w *world) { w.lease(ns, "l", "b_1b4e28ba", 0) },
		},
		"one of two on a host's network": {
			leases: func(w *world) {
				w.getPod("web-1").Spec.HostNetwork = true
				w.pod("other-0", "other-rs", "other", "b", epoch()).Spec.HostNetwork = true
				w.lease(ns, "l", "b_1b4e28ba", 0)
			},
		},
		"a node's own controllers in kube-system": {
			leases: func(w *world) {
				w.getPod("web-1").Spec.HostNetwork = true
				w.lease("kube-system", "kube-controller-manager", "b_1b4e28ba", 0)
			},
		},
		"renewed just within its duration": {
			leases: func(w *world) { w.lease(ns, "l", "web-1", 15*time.Second) },
			want:   &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "l"},
		},
		"not renewed within its duration": {
			leases: func(w *world) { w.lease(ns, "l", "web-1", 15*time.Second+1) },
		},
		"never renewed": {
			leases: func(w *world) { w.lease(ns, "l", "web-1", 0).Spec.RenewTime = nil },
		},
		"without a duration": {
			leases: func(w *world) { w.lease(ns, "l", "web-1", 0).Spec.LeaseDurationSeconds = nil },
		},
		"released": {
			leases: func(w *world) { w.lease(ns, "web-leader-election", "", 0).Spec.HolderIdentity = nil },
		},
		"named for the member before others": {
			leases: func(w *world) {
				w.lease(ns, "a", "web-0", 0)
				w.lease(ns, "web-leader-election", "web-1", 0)
			},
			want: &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "web-leader-election"},
		},
		"first by name": {
			leases: func(w *world) {
				w.lease(ns, "b", "web-1", 0)
				w.lease(ns, "a", "web-0", 0)
			},
			want: &v1alpha1.Leader{Pod: "web-0", Node: "a", Lease: "a"},
		},
		"own namespace before another": {
			leases: func(w *world) {
				w.lease("default", "a", "web-0", 0)
				w.lease(ns, "z", "web-1", 0)
			},
			want: &v1alpha1.Leader{Pod: "web-1", Node: "b", Lease: "z"},
		},
		"another namespace": {
			leases: func(w *world) { w.lease("default", "a", "web-0", 0) },
			want:   &v1alpha1.Leader{Pod: "web-0", Node: "a", Lease: "a"},
		},
		"a node's heartbeat is no election": {
			leases: func(w *world) { w.lease("kube-node-lease", "web-0", "web-0", 0) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("a", "b")
			w.deployment("web", 2, "a", "b")
			tt.leases(w)
			if diff := cmp.Diff(tt.want, Judge(w.Snapshot).Members[0].Leader); diff != "" {
				t.Errorf("leader differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	lease := func(ago time.Duration) func(*world, string) {
		return func(w *world, name string) { w.lease(ns, "l", name+"-0_1", ago) }
	}
	override := func(w *world, name string) {
		w.profile("other", v1alpha1.ProfileStandby)
		w.profile(name, v1alpha1.ProfileSingleton)
	}
	tests := map[string]struct {
		name  string
		given []func(*world, string)
		want  v1alpha1.Profile
	}{
		"nothing known":                    {name: "web", want: v1alpha1.ProfileActiveActive},
		"a pod holds a lease":              {name: "web", given: []func(*world, string){lease(0)}, want: v1alpha1.ProfileStandby},
		"known by name before the lease":   {name: "coredns", given: []func(*world, string){lease(0)}, want: v1alpha1.ProfileActiveActive},
		"a shard before the lease":         {name: "source-controller-shard1", given: []func(*world, string){lease(0)}, want: v1alpha1.ProfileSingleton},
		"a shard without a lease":          {name: "kustomize-controller-shard1", want: v1alpha1.ProfileStandby},
		"the spec before what is known":    {name: "coredns", given: []func(*world, string){lease(0), override}, want: v1alpha1.ProfileSingleton},
		"a lease in the midst of election": {name: "web", given: []func(*world, string){lease(time.Minute)}, want: v1alpha1.ProfileStandby},
		"a lease long abandoned":           {name: "web", given: []func(*world, string){lease(time.Hour)}, want: v1alpha1.ProfileActiveActive},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("a", "b")
			w.deployment(tt.name, 2, "a", "b")
			for _, g := range tt.given {
				g(w, tt.name)
			}
			if got := Judge(w.Snapshot).Members[0].Profile; got != tt.want {
				t.Errorf("profile is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPlanKeepsWhoMayLead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		leases      func(w *world)
		wantPod     string
		wantMessage string
	}{
		"cert-manager names itself behind its pod": {
			leases: func(w *world) {
				w.lease("kube-system", "cert-manager-controller", "kustomize-controller-1-external-cert-manager-controller", 0)
			},
			wantPod: "kustomize-controller-0",
		},
		"a pod on the host's network names its node": {
			leases: func(w *world) {
				w.getPod("kustomize-controller-1").Spec.HostNetwork = true
				w.lease("kube-system", "operator", "a-Xk2vRtQ9dM", 0)
			},
			wantPod: "kustomize-controller-0",
		},
		"two on one host's network": {
			leases: func(w *world) {
				for _, pod := range w.Pods {
					pod.Spec.HostNetwork = true
				}
				w.lease(ns, "operator", "a_c0ffee", 0)
			},
			wantMessage: "pod kustomize-controller-1 is the leader",
		},
		"its Lease is held by nobody that is known": {
			leases:      func(w *world) { w.lease(ns, "kustomize-controller-leader-election", "9f86d081", 0) },
			wantMessage: "may be electing a leader: none of its pods holds Lease kustomize-controller-leader-election",
		},
		"so is one in kube-system that is named for it": {
			leases:      func(w *world) { w.lease("kube-system", "kustomize-controller-leader-election", "9f86d081", 0) },
			wantMessage: "may be electing a leader: none of its pods holds Lease kustomize-controller-leader-election",
		},
		"one in kube-system of another's that has its name": {
			leases: func(w *world) {
				w.lease("kube-system", "kustomize-controller-leader-election", "9f86d081", 0)
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-1_x", 0)
			},
			wantPod: "kustomize-controller-0",
		},
		"all of the Leases are held by nobody that is known, and renewed": {
			leases: func(w *world) {
				w.deployment("web", 2, "a", "a")
				w.lease(ns, "kustomize-controller-leader-election", "9f86d081", 0)
				w.lease(ns, "web-leader-election", "884c7d65", 0)
			},
			wantMessage: "may be electing a leader",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := stacked()
			tt.leases(w)
			d, got := w.plan(), ""
			if d.Move != nil {
				got = d.Move.Name
			}
			if got != tt.wantPod || !strings.Contains(d.Message, tt.wantMessage) {
				t.Errorf("Plan() moves %q: %s: %q, want %q: …%q…", got, d.Reason, d.Message, tt.wantPod, tt.wantMessage)
			}
		})
	}
}
