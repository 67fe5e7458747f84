package lifeline

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Snapshot is all that a judgement is made from. Objects of other namespaces
// than the Lifeline's are ignored, except Nodes and Leases. Nothing in it is
// changed.
type Snapshot struct {
	// Lifeline that is judged. Required.
	Lifeline *v1alpha1.Lifeline

	// Deployments and StatefulSets that spec.selector is applied to.
	Deployments  []*appsv1.Deployment
	StatefulSets []*appsv1.StatefulSet

	// ReplicaSets link pods to Deployments. Those of earlier revisions belong
	// here too: their pods serve as long as they are there.
	ReplicaSets []*appsv1.ReplicaSet

	// Pods of the namespace. A pod that mounts a claim is never moved.
	Pods []*corev1.Pod

	// Nodes are all nodes of the cluster.
	Nodes []*corev1.Node

	// PDBs of the namespace.
	PDBs []*policyv1.PodDisruptionBudget

	// Leases of leader elections. Leases of the namespace kube-node-lease, if
	// given, are not taken for elections: they tell a cluster whose nodes are
	// alive from one whose API server has just come back.
	Leases []*coordinationv1.Lease

	// Now, by the API server's clock as well as it is known.
	Now time.Time
}

// Verdict is what a Lifeline's status says about placement. Its lists are
// bounded and sorted as LifelineStatus documents them.
type Verdict struct {
	// Survives is true when every member outlives the loss of any one domain.
	Survives bool

	// Reason and Message of the Survivable condition. ReasonInvalidSpec means
	// that the selector cannot be used and nothing was judged.
	Reason, Message string

	// Weakest is the domain whose loss stops most; nil when no domain's loss
	// stops anything that runs now.
	Weakest *v1alpha1.Domain

	// Domains that hold ready members, worst first, at most MaxDomains.
	Domains []v1alpha1.Domain

	// Members by kind and name, at most MaxMembers.
	Members []v1alpha1.Member

	// DomainsLeftOut and MembersLeftOut count what the bounds cut off, and
	// NodesLeftOut the members whose nodes are not all listed.
	DomainsLeftOut, MembersLeftOut, NodesLeftOut int
}

// Apply writes the verdict's fields of a status, without conditions.
func (v Verdict) Apply(status *v1alpha1.LifelineStatus) {
	status.Survives = new(v.Survives)
	status.Weakest = v.Weakest.DeepCopy()
	status.Domains = v.Domains
	status.Members = v.Members
}
