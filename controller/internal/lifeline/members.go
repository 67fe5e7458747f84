package lifeline

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/flux"
)

const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
)

// replica is a ready pod on a Ready node.
type replica struct {
	pod  *corev1.Pod
	node *corev1.Node
}

// member is one selected workload with everything that is known of it.
type member struct {
	kind     string
	meta     *metav1.ObjectMeta
	profile  v1alpha1.Profile
	desired  int32
	template *corev1.PodTemplateSpec

	// claims is true when the workload makes a claim for each of its pods.
	claims bool
	// rollout is true while the workload's own controller has not finished
	// with its template.
	rollout bool

	pods     []*corev1.Pod
	ready    []replica
	election election
}

func (m *member) name() string     { return m.meta.Name }
func (m *member) workload() string { return m.kind + "/" + m.meta.Name }

// nodes of the ready replicas.
func (m *member) nodes() []*corev1.Node {
	nodes := make([]*corev1.Node, 0, len(m.ready))
	for _, r := range m.ready {
		nodes = append(nodes, r.node)
	}
	return nodes
}

// status of the member as a Lifeline shows it, with the nodes of at most MaxNodes
// replicas.
func (m *member) status() v1alpha1.Member {
	out := v1alpha1.Member{
		Kind:    m.kind,
		Name:    m.name(),
		Profile: m.profile,
		Desired: m.desired,
		Ready:   int32(len(m.ready)), //nolint:gosec // a namespace has fewer pods than an int32 counts
		Leader:  m.election.leader,
	}
	for _, r := range m.ready {
		out.Nodes = append(out.Nodes, r.node.Name)
	}
	slices.Sort(out.Nodes)
	out.Nodes, _ = bounded(out.Nodes, v1alpha1.MaxNodes)
	return out
}

// findMembers applies spec.selector, sorted by kind and name.
func findMembers(s Snapshot, nodes map[string]*corev1.Node) ([]*member, error) {
	selector, err := metav1.LabelSelectorAsSelector(&s.Lifeline.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	selected := func(o *metav1.ObjectMeta) bool {
		return o.Namespace == s.Lifeline.Namespace && selector.Matches(labels.Set(o.Labels))
	}

	var members []*member
	for _, d := range s.Deployments {
		if selected(&d.ObjectMeta) {
			members = append(members, deploymentMember(d))
		}
	}
	for _, set := range s.StatefulSets {
		if selected(&set.ObjectMeta) {
			members = append(members, statefulSetMember(set))
		}
	}
	slices.SortFunc(members, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name(), b.name()))
	})

	owned := podsByWorkload(s, members)
	elections := electionLeases(s)
	for _, m := range members {
		m.pods = owned[m.meta.UID]
		for _, pod := range m.pods {
			if node := nodes[pod.Spec.NodeName]; counts(pod, node) {
				m.ready = append(m.ready, replica{pod: pod, node: node})
			}
		}
		m.election = findElection(m, elections, s.Now)
		m.profile = profileOf(s, m)
	}
	return members, nil
}

func deploymentMember(d *appsv1.Deployment) *member {
	desired := ptr.Deref(d.Spec.Replicas, 1)
	return &member{
		kind:     kindDeployment,
		meta:     &d.ObjectMeta,
		desired:  desired,
		template: &d.Spec.Template,
		// A pod of the former template may be the last of its rollout to go.
		rollout: d.Status.ObservedGeneration < d.Generation ||
			d.Status.Replicas > d.Status.UpdatedReplicas ||
			d.Status.Replicas > 0 && d.Status.UpdatedReplicas < desired,
	}
}

func statefulSetMember(s *appsv1.StatefulSet) *member {
	return &member{
		kind:     kindStatefulSet,
		meta:     &s.ObjectMeta,
		desired:  ptr.Deref(s.Spec.Replicas, 1),
		template: &s.Spec.Template,
		claims:   len(s.Spec.VolumeClaimTemplates) > 0,
		rollout:  s.Status.ObservedGeneration < s.Generation || rollsOut(s),
	}
}

// rollsOut says whether a StatefulSet has pods of a former template that its controller is
// about to replace: it is not with OnDelete, or below a partition.
func rollsOut(s *appsv1.StatefulSet) bool {
	strategy := s.Spec.UpdateStrategy
	if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType ||
		strategy.RollingUpdate != nil && strategy.RollingUpdate.Partition != nil && *strategy.RollingUpdate.Partition > 0 {
		return false
	}
	return s.Status.UpdateRevision != s.Status.CurrentRevision ||
		s.Status.Replicas > 0 && s.Status.UpdatedReplicas < ptr.Deref(s.Spec.Replicas, 1)
}

// podsByWorkload maps the UID of each member to its pods, sorted by name. A
// Deployment owns the pods of all of its ReplicaSets, earlier revisions
// included, and those of a ReplicaSet without a controller that it is about to
// adopt because its selector matches.
func podsByWorkload(s Snapshot, members []*member) map[types.UID][]*corev1.Pod {
	isMember := make(map[types.UID]bool, len(members))
	for _, m := range members {
		isMember[m.meta.UID] = true
	}
	workloadOf := make(map[types.UID]types.UID, len(s.ReplicaSets)+len(members))
	for uid := range isMember {
		workloadOf[uid] = uid
	}
	for _, rs := range s.ReplicaSets {
		if rs.Namespace != s.Lifeline.Namespace {
			continue
		}
		if owner := metav1.GetControllerOf(rs); owner != nil {
			if isMember[owner.UID] {
				workloadOf[rs.UID] = owner.UID
			}
		} else if d := adopterOf(s, rs); d != nil && isMember[d.UID] {
			workloadOf[rs.UID] = d.UID
		}
	}

	owned := make(map[types.UID][]*corev1.Pod, len(members))
	for _, pod := range s.Pods {
		if pod.Namespace != s.Lifeline.Namespace {
			continue
		}
		owner := metav1.GetControllerOf(pod)
		if owner == nil {
			continue
		}
		if uid, ok := workloadOf[owner.UID]; ok {
			owned[uid] = append(owned[uid], pod)
		}
	}
	for _, pods := range owned {
		slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	}
	return owned
}

// adopterOf is the first Deployment by name whose selector matches an orphaned
// ReplicaSet.
func adopterOf(s Snapshot, rs *appsv1.ReplicaSet) *appsv1.Deployment {
	var adopter *appsv1.Deployment
	for _, d := range s.Deployments {
		if d.Namespace != rs.Namespace {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(rs.Labels)) {
			continue
		}
		if adopter == nil || d.Name < adopter.Name {
			adopter = d
		}
	}
	return adopter
}

// counts says whether a pod is a replica that would be missed: Ready, not on
// its way out, and on a node that is Ready itself. The Ready condition of a pod
// on a silent node is old news.
func counts(pod *corev1.Pod, node *corev1.Node) bool {
	return pod.DeletionTimestamp == nil && podReady(pod) && node != nil && nodeReady(node)
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// finished pods are never replaced by their own kubelet and are no sign of a
// replacement under way.
func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// profileOf is the profile that a member is judged by: spec.profiles, else what
// is known by name, else Standby where a Lease names one of its pods, else
// ActiveActive.
func profileOf(s Snapshot, m *member) v1alpha1.Profile {
	for _, p := range s.Lifeline.Spec.Profiles {
		if p.Name == m.name() {
			return p.Profile
		}
	}
	if p, known := flux.ProfileOf(m.name(), m.meta.Labels); known {
		return p
	}
	// A Lease that is not renewed at the moment is evidence of an election all
	// the same: the profile must not change while a leader is being elected.
	if len(m.election.holders) > 0 {
		return v1alpha1.ProfileStandby
	}
	return v1alpha1.ProfileActiveActive
}
