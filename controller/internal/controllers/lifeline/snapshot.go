package lifeline

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
)

// +kubebuilder:rbac:groups="",resources=pods;nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch

// gather reads what a judgement of l is made from.
func gather(ctx context.Context, reader client.Reader, l *v1alpha1.Lifeline, now time.Time) (lifeline.Snapshot, error) {
	var (
		deployments  appsv1.DeploymentList
		statefulSets appsv1.StatefulSetList
		replicaSets  appsv1.ReplicaSetList
		pods         corev1.PodList
		pdbs         policyv1.PodDisruptionBudgetList
		leases       coordinationv1.LeaseList
		nodes        corev1.NodeList
	)
	here := client.InNamespace(l.Namespace)
	for _, read := range []struct {
		list client.ObjectList
		opts []client.ListOption
	}{
		{&deployments, []client.ListOption{here}},
		{&statefulSets, []client.ListOption{here}},
		{&replicaSets, []client.ListOption{here}},
		{&pods, []client.ListOption{here}},
		{&pdbs, []client.ListOption{here}},
		{&nodes, nil},
	} {
		if err := reader.List(ctx, read.list, read.opts...); err != nil {
			return lifeline.Snapshot{}, fmt.Errorf("gather the snapshot of lifeline %s/%s: %w", l.Namespace, l.Name, err)
		}
	}
	for _, namespace := range leaseNamespaces(l.Namespace) {
		var found coordinationv1.LeaseList
		if err := reader.List(ctx, &found, client.InNamespace(namespace)); err != nil {
			return lifeline.Snapshot{}, fmt.Errorf("gather the leases in %s for lifeline %s/%s: %w", namespace, l.Namespace, l.Name, err)
		}
		leases.Items = append(leases.Items, found.Items...)
	}
	return lifeline.Snapshot{
		Lifeline:     l,
		Deployments:  pointers(deployments.Items),
		StatefulSets: pointers(statefulSets.Items),
		ReplicaSets:  pointers(replicaSets.Items),
		Pods:         pointers(pods.Items),
		PDBs:         pointers(pdbs.Items),
		Leases:       pointers(leases.Items),
		Nodes:        pointers(nodes.Items),
		Now:          now,
	}, nil
}

// leaseNamespaces are where a member's Lease may be: beside it, or in
// kube-system, where cert-manager and others keep theirs by default. A Lease
// anywhere else could be a tenant's word about somebody else's pod. The nodes'
// heartbeats tell a sick API server from a sick member.
func leaseNamespaces(own string) []string {
	namespaces := []string{own, corev1.NamespaceNodeLease}
	if own != metav1.NamespaceSystem {
		namespaces = append(namespaces, metav1.NamespaceSystem)
	}
	return namespaces
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
