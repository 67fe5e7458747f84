package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// killLeader stacks one controller again, kills Mainstay's leader before there
// is anywhere to move a standby to, and wants to see the other replica take
// over and do what the dead one could not.
func (d *demo) killLeader(ctx context.Context) (string, error) {
	leader, err := d.replicas.Leader(ctx)
	if err != nil {
		return "", err
	}
	if leader == nil {
		return "", errors.New("none of the replicas leads")
	}
	crowded, uncordon, err := d.stackAgain(ctx, "helm-controller")
	if err != nil {
		return "", err
	}
	before := leader.Pod()
	if err := leader.Kill(); err != nil {
		return "", err
	}
	d.story.say("both replicas of helm-controller are on %s, and %s is dead", crowded, before)
	if err := uncordon(); err != nil {
		return "", err
	}

	after, err := until(ctx, func(ctx context.Context) (bool, string, error) {
		holder, err := d.leader(ctx)
		return holder != "" && holder != before, holder, err
	})
	if err != nil {
		return "", err
	}
	d.story.say("%s leads now", after)
	seen, err := d.lifeline(ctx, func(l *v1alpha1.Lifeline) bool { return *l.Status.Survives })
	if err != nil {
		return "", err
	}
	if _, err := d.show(ctx, "-n", "mainstay-system", "get", "lease,interventions"); err != nil {
		return "", err
	}
	var list v1alpha1.InterventionList
	if err := d.client.List(ctx, &list, client.InNamespace("mainstay-system")); err != nil {
		return "", fmt.Errorf("list the interventions: %w", err)
	}
	if !slices.ContainsFunc(list.Items, func(iv v1alpha1.Intervention) bool {
		return iv.Spec.Holder == after && iv.Status.Phase == v1alpha1.PhaseDone
	}) {
		return "", fmt.Errorf("no intervention was done by %s, the replica that took over", after)
	}
	return seen, nil
}

// stackAgain puts the standby of a controller beside its leader, and leaves the
// other worker cordoned until uncordon is called.
func (d *demo) stackAgain(ctx context.Context, controller string) (home string, uncordon func() error, err error) {
	var lease coordinationv1.Lease
	if err := d.client.Get(ctx, types.NamespacedName{Namespace: "flux-system", Name: controller + "-leader-election"}, &lease); err != nil {
		return "", nil, fmt.Errorf("read the lease of %s: %w", controller, err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil, fmt.Errorf("nobody holds the lease of %s", controller)
	}
	leader, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	pods, err := d.pods(ctx, controller)
	if err != nil {
		return "", nil, err
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == leader })
	if i < 0 {
		return "", nil, fmt.Errorf("the leader %s of %s is not among its pods", leader, controller)
	}
	home = pods[i].Spec.NodeName
	var others []string
	for _, worker := range []string{"worker-2", "worker-3"} {
		if worker != home {
			others = append(others, worker)
		}
	}
	if _, err := d.cluster.Kubectl(ctx, append([]string{"cordon"}, others...)...); err != nil {
		return "", nil, err
	}
	uncordon = func() error {
		_, err := d.cluster.Kubectl(ctx, append([]string{"uncordon"}, others...)...)
		return err
	}
	for _, pod := range pods {
		if pod.Name != leader && pod.DeletionTimestamp == nil {
			if err := d.client.Delete(ctx, &pod); err != nil {
				return "", nil, fmt.Errorf("delete the standby of %s: %w", controller, err)
			}
		}
	}
	_, err = until(ctx, func(ctx context.Context) (bool, string, error) {
		pods, err := d.pods(ctx, controller)
		if err != nil {
			return false, "", err
		}
		there := 0
		for i := range pods {
			if pods[i].Spec.NodeName == home && ready(&pods[i]) {
				there++
			}
		}
		return there == 2, fmt.Sprintf("%d replicas of %s on %s", there, controller, home), nil
	})
	return home, uncordon, err
}

// once counts effects: what the API server's audit log says was evicted, and
// what the Interventions claim.
func (d *demo) once(ctx context.Context) (string, error) {
	events, err := d.cluster.AuditEvents()
	if err != nil {
		return "", err
	}
	evicted := map[string]int{}
	for i := range events {
		e := &events[i]
		if e.ObjectRef != nil && e.ObjectRef.Subresource == "eviction" && e.Stage == "ResponseComplete" &&
			e.ResponseStatus != nil && e.ResponseStatus.Code < 300 {
			evicted[e.ObjectRef.Namespace+"/"+e.ObjectRef.Name]++
		}
	}
	var list v1alpha1.InterventionList
	if err := d.client.List(ctx, &list, client.InNamespace("mainstay-system")); err != nil {
		return "", fmt.Errorf("list the interventions: %w", err)
	}
	claimed := map[types.UID]string{}
	done := 0
	for i := range list.Items {
		iv := &list.Items[i]
		if iv.Status.Phase != v1alpha1.PhaseDone {
			continue
		}
		done++
		if other, twice := claimed[iv.Spec.Target.UID]; twice {
			return "", fmt.Errorf("pod %s was evicted by %s and by %s", iv.Spec.Target.Name, other, iv.Name)
		}
		claimed[iv.Spec.Target.UID] = iv.Name
	}
	for pod, count := range evicted {
		if count > 1 {
			return "", fmt.Errorf("the API server evicted pod %s %d times", pod, count)
		}
	}
	if len(evicted) != done {
		return "", fmt.Errorf("%d evictions in the API server's audit log, %d interventions that say Done", len(evicted), done)
	}
	return fmt.Sprintf("%d interventions, %d evictions in the API server's audit log, each pod once", done, len(evicted)), nil
}

// electionsSettled waits until every Lease of Flux is held by a pod that is
// there: a rollout has just replaced the ones that held them.
func (d *demo) electionsSettled(ctx context.Context) error {
	_, err := until(ctx, func(ctx context.Context) (bool, string, error) {
		var leases coordinationv1.LeaseList
		if err := d.client.List(ctx, &leases, client.InNamespace("flux-system")); err != nil {
			return false, "", fmt.Errorf("list the leases: %w", err)
		}
		for i := range leases.Items {
			controller := strings.TrimSuffix(leases.Items[i].Name, "-leader-election")
			pods, err := d.pods(ctx, controller)
			if err != nil {
				return false, "", err
			}
			held := slices.ContainsFunc(pods, func(p corev1.Pod) bool {
				return ready(&p) && leases.Items[i].Spec.HolderIdentity != nil && strings.HasPrefix(*leases.Items[i].Spec.HolderIdentity, p.Name+"_")
			})
			if !held {
				return false, "no pod of " + controller + " leads", nil
			}
		}
		return true, "", nil
	})
	return err
}

// transitions counts how often each Lease of Flux changed hands.
func (d *demo) transitions(ctx context.Context) (map[string]int32, error) {
	var leases coordinationv1.LeaseList
	if err := d.client.List(ctx, &leases, client.InNamespace("flux-system")); err != nil {
		return nil, fmt.Errorf("list the leases: %w", err)
	}
	counts := map[string]int32{}
	for i := range leases.Items {
		if n := leases.Items[i].Spec.LeaseTransitions; n != nil {
			counts[leases.Items[i].Name] = *n
		}
	}
	return counts, nil
}

// leader is the pod that holds Mainstay's Lease, empty if nobody does.
func (d *demo) leader(ctx context.Context) (string, error) {
	var lease coordinationv1.Lease
	err := d.client.Get(ctx, types.NamespacedName{Namespace: "mainstay-system", Name: "mainstay"}, &lease)
	if err := client.IgnoreNotFound(err); err != nil {
		return "", fmt.Errorf("read Mainstay's lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

func (d *demo) pods(ctx context.Context, controller string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := d.client.List(ctx, &list, client.InNamespace("flux-system"), client.MatchingLabels{"app": controller}); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", controller, err)
	}
	return list.Items, nil
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}
