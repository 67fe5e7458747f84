package lifeline

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// randomWorld has up to 7 nodes in 3 zones and 3 racks, some of them cordoned,
// tainted or not Ready, and up to 5 members, some of them stacked.
func randomWorld(r *rand.Rand) *world {
	w := newWorld()
	w.Lifeline.Spec.TopologyKeys = []string{corev1.LabelHostname, zone, rack}[:1+r.IntN(3)]
	w.Lifeline.Spec.Heal.MaxEvictionsPerHour = 120
	nodes := 2 + r.IntN(6)
	for i := range nodes {
		n := w.node(fmt.Sprintf("n%d", i))
		if r.IntN(8) > 0 {
			n.Labels[zone] = fmt.Sprintf("z%d", r.IntN(3))
		}
		if r.IntN(8) > 0 {
			n.Labels[rack] = fmt.Sprintf("r%d", r.IntN(3))
		}
		switch r.IntN(12) {
		case 0:
			n.Spec.Unschedulable = true
		case 1:
			n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
		case 2:
			setNodeReady(n, corev1.ConditionUnknown)
		}
	}
	for i := range 1 + r.IntN(5) {
		name := fmt.Sprintf("m%d", i)
		replicas := 1 + r.IntN(4)
		var on []string
		for range replicas {
			on = append(on, fmt.Sprintf("n%d", r.IntN(1+r.IntN(nodes))))
		}
		w.deployment(name, int32(replicas), on...)
		switch r.IntN(4) {
		case 0:
			w.profile(name, v1alpha1.ProfileSingleton)
		case 1:
			w.profile(name, v1alpha1.ProfileStandby)
			w.lease(ns, name+leaseSuffix, fmt.Sprintf("%s-%d_x", name, r.IntN(replicas)), 0)
		}
	}
	return w
}

// reschedule replaces a pod by one on the node that a scheduler with soft
// spread over all keys picks: where fewest replicas share its domains.
func (w *world) reschedule(t *testing.T, m *Move, name string) {
	t.Helper()
	p, err := newPicture(w.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	owner := p.find(m.Workload)
	w.deletePod(m.Name)
	var pick *corev1.Node
	least := 0
	for _, n := range p.placeable {
		if !fits(owner, n) {
			continue
		}
		shared := 0
		for _, d := range p.domainsOf(n) {
			stops := true
			for _, r := range owner.ready {
				if r.pod.Name == m.Name {
					continue
				}
				if d.holds(r.node) {
					shared++
				} else {
					stops = false
				}
			}
			if stops {
				shared += 100
			}
		}
		if pick == nil || shared < least {
			pick, least = n, shared
		}
	}
	if pick == nil {
		t.Fatalf("a move of %s was planned that nothing can take", m.Name)
	}
	w.pod(name, owner.name()+"-rs", owner.name(), pick.Name, w.Now)
}

func stops(v Verdict) int {
	n := 0
	for _, d := range v.Domains {
		n += len(d.Stops)
	}
	return n
}

// Every move leaves fewer pairs of a domain and a member that its loss stops,
// so moves come to an end.
func TestMovesConverge(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(2000) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 1)))
		var past []*v1alpha1.Intervention
		for round := 0; ; round++ {
			v := Judge(w.Snapshot)
			d := Plan(w.Snapshot, v, past)
			if d.Move == nil {
				break
			}
			if round > 20 {
				t.Fatalf("seed %d: still moving after %d rounds", seed, round)
			}
			iv := w.intervention(fmt.Sprintf("i%d", round), 0, d.Move, v1alpha1.PhaseDone, "")
			w.Now = w.Now.Add(time.Second)
			for _, l := range w.Leases {
				l.Spec.RenewTime.Time = w.Now
			}
			w.reschedule(t, d.Move, fmt.Sprintf("new-%d", round))
			got := Assess(iv, w.Snapshot)
			if !got.Settled || got.Verdict != v1alpha1.VerdictImproved {
				t.Fatalf("seed %d: move of %s: %+v", seed, d.Move.Name, got)
			}
			iv.Status.Verdict = got.Verdict
			past = append(past, iv)
			moved++
			if before, after := stops(v), stops(Judge(w.Snapshot)); after >= before {
				t.Fatalf("seed %d: move of %s: %d stops before, %d after", seed, d.Move.Name, before, after)
			}
		}
	}
	if moved < 500 {
		t.Errorf("only %d moves were tried", moved)
	}
}

// A scheduler that puts every replacement where its predecessor was is given up
// on after one move for each member.
func TestFutileMovesEnd(t *testing.T) {
	t.Parallel()
	w := newWorld("a", "b", "c")
	w.deployment("kustomize-controller", 2, "a", "a")
	w.deployment("web", 2, "b", "b")
	var past []*v1alpha1.Intervention
	for round := range 10 {
		d := w.plan(past...)
		if d.Move == nil {
			if d.Reason != v1alpha1.ReasonFutile || len(past) != 2 {
				t.Errorf("ended after %d moves with %s: %s, want 2 and Futile", len(past), d.Reason, d.Message)
			}
			return
		}
		iv := w.intervention(fmt.Sprintf("i%d", round), 0, d.Move, v1alpha1.PhaseDone, "")
		w.Now = w.Now.Add(time.Second)
		owner := map[string]string{"a": "kustomize-controller", "b": "web"}[d.Move.Node]
		w.deletePod(d.Move.Name)
		w.pod(fmt.Sprintf("new-%d", round), owner+"-rs", owner, d.Move.Node, w.Now)
		iv.Status.Verdict = Assess(iv, w.Snapshot).Verdict
		past = append(past, iv)
	}
	t.Errorf("still moving after %d moves", len(past))
}

func TestOrderOfInputsDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 2)))
		w.pdb("all", "m0", int32(seed%2))
		w.statefulSet("m1", 2, "n0", "n0")
		var past []*v1alpha1.Intervention
		v := Judge(w.Snapshot)
		if d := Plan(w.Snapshot, v, nil); d.Move != nil {
			past = append(past,
				w.intervention("i", time.Minute, d.Move, v1alpha1.PhaseFailed, ""),
				w.intervention("j", time.Minute, d.Move, v1alpha1.PhaseRefused, ""))
		}
		d := Plan(w.Snapshot, v, past)

		r := rand.New(rand.NewPCG(seed, 3))
		shuffle(r, w.Deployments)
		shuffle(r, w.StatefulSets)
		shuffle(r, w.ReplicaSets)
		shuffle(r, w.Pods)
		shuffle(r, w.Nodes)
		shuffle(r, w.PDBs)
		shuffle(r, w.Leases)
		shuffle(r, past)
		shuffle(r, w.Lifeline.Spec.TopologyKeys)
		if diff := cmp.Diff(v, Judge(w.Snapshot)); diff != "" {
			t.Fatalf("seed %d: Judge() differs:\n%s", seed, diff)
		}
		if diff := cmp.Diff(d, Plan(w.Snapshot, v, past)); diff != "" {
			t.Fatalf("seed %d: Plan() differs:\n%s", seed, diff)
		}
	}
}

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}
