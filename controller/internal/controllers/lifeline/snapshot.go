package lifeline

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
)

// +kubebuilder:rbac:groups="",resources=pods;nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch

// gather reads what a judgement of l is made from.
func gather(ctx context.Context, reader client.Reader, l *v1alpha1.Lifeline, profiles map[string]v1alpha1.Profile, now time.Time) (lifeline.Snapshot, error) {
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
		// A controller's Lease need not be in its own namespace.
		{&leases, nil},
		{&nodes, nil},
	} {
		if err := reader.List(ctx, read.list, read.opts...); err != nil {
			return lifeline.Snapshot{}, fmt.Errorf("gather the snapshot of lifeline %s/%s: %w", l.Namespace, l.Name, err)
		}
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
		Profiles:     profiles,
		Now:          now,
	}, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
