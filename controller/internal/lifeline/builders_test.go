package lifeline

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

const (
	ns   = "flux-system"
	zone = "topology.kubernetes.io/zone"
	rack = "example.com/rack"
)

func epoch() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// world builds a Snapshot.
type world struct{ Snapshot }

// newWorld has one host domain for each named node.
func newWorld(nodes ...string) *world {
	w := &world{Snapshot{
		Lifeline: &v1alpha1.Lifeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "flux", UID: "lifeline"},
			Spec: v1alpha1.LifelineSpec{
				Selector:     metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/part-of": "flux"}},
				TopologyKeys: []string{corev1.LabelHostname},
				Heal:         v1alpha1.Heal{Mode: v1alpha1.HealAuto, MaxEvictionsPerHour: 12},
			},
		},
		Now: epoch(),
	}}
	for _, n := range nodes {
		w.node(n)
	}
	return w
}

// node adds a Ready node with labels given as key, value, …
func (w *world) node(name string, labels ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelHostname: name},
	}}
	for i := 0; i < len(labels); i += 2 {
		n.Labels[labels[i]] = labels[i+1]
	}
	setNodeReady(n, corev1.ConditionTrue)
	w.Nodes = append(w.Nodes, n)
	return n
}

func setNodeReady(n *corev1.Node, status corev1.ConditionStatus) {
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
}

func (w *world) getNode(name string) *corev1.Node {
	for _, n := range w.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// deployment adds a Deployment with one ready pod on each of the nodes, called
// <name>-0, <name>-1, …, each a minute younger than the one before.
func (w *world) deployment(name string, replicas int32, nodes ...string) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: types.UID("deploy-" + name), Labels: map[string]string{"app.kubernetes.io/part-of": "flux"},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}},
		},
	}
	w.Deployments = append(w.Deployments, d)
	w.replicaSet(name+"-rs", d)
	for i, node := range nodes {
		w.pod(fmt.Sprintf("%s-%d", name, i), name+"-rs", name, node, epoch().Add(-time.Hour).Add(time.Duration(i)*time.Minute))
	}
	return d
}

func (w *world) replicaSet(name string, owner *appsv1.Deployment) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID(name)}}
	if owner != nil {
		rs.OwnerReferences = []metav1.OwnerReference{controllerRef("Deployment", owner.Name, owner.UID)}
	}
	w.ReplicaSets = append(w.ReplicaSets, rs)
	return rs
}

func controllerRef(kind, name string, uid types.UID) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: name, UID: uid, Controller: &yes}
}

func (w *world) statefulSet(name string, replicas int32, nodes ...string) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: types.UID("sts-" + name), Labels: map[string]string{"app.kubernetes.io/part-of": "flux"},
		},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas},
	}
	w.StatefulSets = append(w.StatefulSets, s)
	for i, node := range nodes {
		w.pod(fmt.Sprintf("%s-%d", name, i), string(s.UID), name, node, epoch().Add(-time.Hour))
	}
	return s
}

// pod adds a ready pod of the owner with the UID.
func (w *world) pod(name, owner, app, node string, created time.Time) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: types.UID("uid-" + name),
			Labels:            map[string]string{"app": app},
			CreationTimestamp: metav1.NewTime(created),
			OwnerReferences:   []metav1.OwnerReference{controllerRef("ReplicaSet", owner, types.UID(owner))},
		},
		Spec: corev1.PodSpec{NodeName: node},
	}
	setReady(p, corev1.ConditionTrue)
	w.Pods = append(w.Pods, p)
	return p
}

func setReady(p *corev1.Pod, status corev1.ConditionStatus) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
}

func (w *world) getPod(name string) *corev1.Pod {
	for _, p := range w.Pods {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (w *world) deletePod(name string) {
	var left []*corev1.Pod
	for _, p := range w.Pods {
		if p.Name != name {
			left = append(left, p)
		}
	}
	w.Pods = left
}

// lease of 15 s that was renewed some time ago.
func (w *world) lease(namespace, name, holder string, ago time.Duration) *coordinationv1.Lease {
	seconds := int32(15)
	renewed := metav1.NewMicroTime(w.Now.Add(-ago))
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &renewed,
		},
	}
	w.Leases = append(w.Leases, l)
	return l
}

func (w *world) pdb(name, app string, allowed int32) *policyv1.PodDisruptionBudget {
	p := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{app}},
			}},
		},
		Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
	w.PDBs = append(w.PDBs, p)
	return p
}

func (w *world) profile(member string, profile v1alpha1.Profile) {
	w.Lifeline.Spec.Profiles = append(w.Lifeline.Spec.Profiles, v1alpha1.MemberProfile{Name: member, Profile: profile})
}

func claimVolume() corev1.Volume {
	return corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}
}

// intervention of the world's Lifeline that was made some time ago.
func (w *world) intervention(name string, ago time.Duration, m *Move, phase v1alpha1.Phase, verdict v1alpha1.Verdict) *v1alpha1.Intervention {
	return &v1alpha1.Intervention{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(w.Now.Add(-ago))},
		Spec: v1alpha1.InterventionSpec{
			Owner:    v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: ns, Name: "flux", UID: w.Lifeline.UID},
			Action:   v1alpha1.ActionEvict,
			Target:   m.Target(),
			Attempt:  m.Attempt,
			Evidence: m.Evidence,
		},
		Status: v1alpha1.InterventionStatus{Phase: phase, Verdict: verdict, Message: "because"},
	}
}

func (w *world) plan(history ...*v1alpha1.Intervention) Decision {
	return Plan(w.Snapshot, Judge(w.Snapshot), history)
}
