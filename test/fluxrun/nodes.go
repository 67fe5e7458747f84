package fluxrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// uncordonTimeout bounds what is done for the nodes after the caller has given up.
const uncordonTimeout = 15 * time.Second

// cordon makes nodes unschedulable, but for those that are already, and returns what
// undoes it.
func (f *Flux) cordon(ctx context.Context, which func(name string) bool) (undo func(context.Context) error, err error) {
	var nodes corev1.NodeList
	if err := f.client.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var cordoned []string
	undo = func(ctx context.Context) error {
		// Also when the caller's time is over.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), uncordonTimeout)
		defer cancel()
		var errs []error
		for _, name := range cordoned {
			errs = append(errs, f.setUnschedulable(ctx, name, false))
		}
		for _, name := range cordoned {
			errs = append(errs, f.awaitTaint(ctx, name, false))
		}
		return errors.Join(errs...)
	}
	for _, node := range nodes.Items {
		if node.Spec.Unschedulable || !which(node.Name) {
			continue
		}
		cordoned = append(cordoned, node.Name)
		if err := f.setUnschedulable(ctx, node.Name, true); err != nil {
			return nil, errors.Join(err, undo(ctx))
		}
	}
	for _, name := range cordoned {
		if err := f.awaitTaint(ctx, name, true); err != nil {
			return nil, errors.Join(err, undo(ctx))
		}
	}
	return undo, nil
}

func (f *Flux) setUnschedulable(ctx context.Context, name string, unschedulable bool) error {
	node := &corev1.Node{}
	node.Name = name
	patch := []byte(`{"spec":{"unschedulable":null}}`)
	if unschedulable {
		patch = []byte(`{"spec":{"unschedulable":true}}`)
	}
	if err := f.client.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch), fieldOwner); err != nil {
		return fmt.Errorf("changing whether node %s is schedulable: %w", name, err)
	}
	return nil
}

// awaitTaint waits until a node has, or no longer has, the taint of a cordoned one:
// Kubernetes sets and lifts it a moment later.
func (f *Flux) awaitTaint(ctx context.Context, name string, cordoned bool) error {
	what := "node " + name + " to be schedulable"
	if cordoned {
		what = "node " + name + " to be cordoned"
	}
	return await(ctx, what, func(ctx context.Context) error {
		var node corev1.Node
		if err := f.client.Get(ctx, types.NamespacedName{Name: name}, &node); err != nil {
			return fmt.Errorf("reading node %s: %w", name, err)
		}
		tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable })
		if tainted != cordoned {
			return fmt.Errorf("whether it has the taint %s: %t", corev1.TaintNodeUnschedulable, tainted)
		}
		return nil
	})
}

// healthy tells why a node is not Ready, or has a taint that keeps pods away.
func healthy(node *corev1.Node) error {
	for _, t := range node.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return fmt.Errorf("node %s has the taint %s", node.Name, t.ToString())
		}
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not Ready", node.Name)
}
