package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// standing is the name of the objects whose subresources are written.
const standing = "standing"

// emptier is the one of Users who deletes by collections.
const emptier = "system:serviceaccount:kube-system:namespace-controller"

// atOnce is how many requests of one walk are under way.
const atOnce = 4

// patience bounds one request.
const patience = 10 * time.Second

// User is somebody who keeps the cluster going.
type User struct {
	Name   string
	Groups []string
	// Node is set for a worker's kubelet: the API server lets it write few kinds, and
	// of those only what is its own.
	Node string
}

// Users are Flux, controllers of kube-system, a worker, one that joins, and the ways in
// which the control plane and an administrator act.
func Users() []User {
	account := func(namespace, name string) User {
		return User{
			Name:   "system:serviceaccount:" + namespace + ":" + name,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		}
	}
	return []User{
		account("flux-system", "kustomize-controller"),
		account("flux-system", "helm-controller"),
		account("kube-system", "deployment-controller"),
		account("kube-system", "namespace-controller"),
		{Name: "system:kube-controller-manager", Groups: []string{"system:authenticated"}},
		{Name: "system:kube-scheduler", Groups: []string{"system:authenticated"}},
		{Name: "system:bootstrap:abcdef", Groups: []string{"system:bootstrappers", "system:authenticated"}},
		{Name: "system:node:joins", Groups: []string{"system:nodes", "system:authenticated"}, Node: "joins"},
		{Name: "system:node:" + standing, Groups: []string{"system:nodes", "system:authenticated"}, Node: standing},
		{Name: "root", Groups: []string{"system:masters", "system:authenticated"}},
	}
}

// Path is the recovery path of one cluster.
type Path struct {
	// Namespaces are on it with all that is in them; Guarded is not.
	Namespaces []string
	Guarded    string
}

// Prepare makes what a walk needs: the rights of the users by name, so that nothing but
// a rule is in the way of what they try, and objects whose subresources they write.
func (p Path) Prepare(ctx context.Context, admin client.Client) error {
	binding := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": "test-recovery"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
	}}
	var subjects []any
	for _, user := range Users() {
		subjects = append(subjects, map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user.Name})
	}
	binding.Object["subjects"] = subjects
	needed := []*unstructured.Unstructured{binding}
	for _, namespace := range append([]string{p.Guarded}, p.Namespaces...) {
		inside, err := Namespaced(standing, namespace)
		if err != nil {
			return err
		}
		for _, obj := range inside {
			switch obj.GetKind() {
			case "Pod", "Deployment", "ServiceAccount":
				needed = append(needed, obj)
			}
		}
	}
	outside, err := Kinds(standing, p.Guarded)
	if err != nil {
		return err
	}
	for _, obj := range outside {
		switch obj.GetKind() {
		case "Node", "Namespace", "CertificateSigningRequest":
			needed = append(needed, obj)
		}
	}
	runs, err := runningPod()
	if err != nil {
		return err
	}
	for _, obj := range append(needed, runs) {
		if err := apply(ctx, admin, obj); err != nil {
			return fmt.Errorf("prepare the recovery path: %s: %w", described(obj), err)
		}
	}
	return nil
}

// Report is told of every request of a walk: by whom, what, and how it went.
type Report func(user, what string, took time.Duration, err error)

// Walk has a user create, change and delete an object of every kind, as Flux does: a
// server-side dry run, then the apply itself. The name, a DNS label, is that of the
// objects, and no other walk's that is under way. Of what is in a namespace each kind is
// tried in one of them; turn says which. A kind that the API server does not serve is
// left out. Of standing objects it writes subresources in every namespace.
func (p Path) Walk(ctx context.Context, cfg *rest.Config, user User, name string, turn int, report Report) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	// Deprecated kinds are on the path as well.
	cfg.WarningHandler = rest.NoWarnings{}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return fmt.Errorf("make a client for %s: %w", user.Name, err)
	}
	w := &walker{client: c, user: user, report: report}
	var all []func(context.Context)
	served := func(obj *unstructured.Unstructured) bool {
		kind := obj.GroupVersionKind()
		_, err := c.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
		return !meta.IsNoMatchError(err)
	}
	for i, namespace := range append([]string{p.Guarded}, p.Namespaces...) {
		objs, err := Kinds(name, namespace)
		if err != nil {
			return err
		}
		for j, obj := range objs {
			if !served(obj) {
				continue
			}
			// What is in no namespace is tried once.
			if namespaced := obj.GetNamespace() != ""; namespaced && (j+turn)%(len(p.Namespaces)+1) == i || !namespaced && i == 0 {
				all = append(all, func(ctx context.Context) { w.cycle(ctx, obj) })
			}
		}
		all = append(all, w.subresources(namespace)...)
	}
	for i, namespace := range p.Namespaces {
		all = append(all, w.disruptions(namespace)...)
		objs, err := Namespaced(name, namespace)
		if err != nil {
			return err
		}
		for j, obj := range objs {
			if served(obj) && (j+turn)%len(p.Namespaces) == i {
				all = append(all, func(ctx context.Context) { w.cycle(ctx, obj) })
			}
		}
	}
	if user.Node != "" {
		all = w.ofNode(name)
	}
	queue := make(chan func(context.Context))
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for do := range queue {
				do(ctx)
			}
		})
	}
	for _, do := range all {
		queue <- do
	}
	close(queue)
	workers.Wait()
	return ctx.Err()
}

type walker struct {
	client client.Client
	user   User
	report Report
}

func (w *walker) try(ctx context.Context, what string, do func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	w.report(w.user.Name, what, time.Since(began), err)
	return err == nil
}

// cycle has the object come, change and go.
func (w *walker) cycle(ctx context.Context, obj *unstructured.Unstructured) {
	what := described(obj)
	if obj.GetName() == "" {
		w.try(ctx, "create "+what, func(ctx context.Context) error { return w.client.Create(ctx, obj.DeepCopy()) })
		return
	}
	if !w.try(ctx, "apply dry "+what, func(ctx context.Context) error { return apply(ctx, w.client, obj, client.DryRunAll) }) ||
		obj.GetAnnotations()["test"] == "dry-run" ||
		!w.try(ctx, "apply "+what, func(ctx context.Context) error { return apply(ctx, w.client, obj) }) {
		return
	}
	changed := obj.DeepCopy()
	labels := map[string]string{"changed": obj.GetName()}
	changed.SetLabels(labels)
	w.try(ctx, "change "+what, func(ctx context.Context) error { return apply(ctx, w.client, changed) })
	if w.user.Name == emptier && obj.GetNamespace() != "" {
		w.try(ctx, "delete by collection "+what, func(ctx context.Context) error { return w.empty(ctx, obj, labels) })
		return
	}
	w.try(ctx, "delete "+what, func(ctx context.Context) error {
		return client.IgnoreNotFound(w.client.Delete(ctx, obj.DeepCopy(), client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground)))
	})
}

// empty deletes what has the labels, as the namespace controller does with a whole namespace.
// The API server asks about each object of a collection, and about none where there is none.
func (w *walker) empty(ctx context.Context, obj *unstructured.Unstructured, labels client.MatchingLabels) error {
	err := w.client.DeleteAllOf(ctx, obj.DeepCopy(), client.InNamespace(obj.GetNamespace()), labels,
		client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil {
		return err
	}
	left := obj.DeepCopy()
	err = w.client.Get(ctx, client.ObjectKeyFromObject(obj), left)
	if err == nil && left.GetDeletionTimestamp() == nil && left.GetLabels()["changed"] != "" {
		return errors.New("it is there")
	}
	return client.IgnoreNotFound(err)
}

// subresources are written of the standing objects of a namespace, without effect.
func (w *walker) subresources(namespace string) []func(context.Context) {
	return []func(context.Context){
		w.statusOf("v1", "Pod", namespace), w.statusOf("apps/v1", "Deployment", namespace), w.statusOf("v1", "Node", ""),
		w.statusOf("v1", "Namespace", ""), w.statusOf("certificates.k8s.io/v1", "CertificateSigningRequest", ""),
		func(ctx context.Context) {
			w.try(ctx, "bind a pod in "+namespace, func(ctx context.Context) error {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: standing}}
				to := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: standing}}
				return w.client.SubResource("binding").Create(ctx, pod, to, client.DryRunAll)
			})
		},
	}
}

// disruptions are a drain of the standing pod of a namespace and a change of the replicas of
// the Deployment there, without effect. Off the recovery path rules may refuse them.
func (w *walker) disruptions(namespace string) []func(context.Context) {
	at := metav1.ObjectMeta{Namespace: namespace, Name: standing}
	return []func(context.Context){
		func(ctx context.Context) {
			w.try(ctx, "evict a pod in "+namespace, func(ctx context.Context) error {
				return w.client.SubResource("eviction").Create(ctx, &corev1.Pod{ObjectMeta: at}, &policyv1.Eviction{ObjectMeta: at}, client.DryRunAll)
			})
		},
		func(ctx context.Context) {
			w.try(ctx, "scale a Deployment in "+namespace, func(ctx context.Context) error {
				patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":1}}`))
				return w.client.SubResource("scale").Patch(ctx, &appsv1.Deployment{ObjectMeta: at}, patch, client.DryRunAll, client.WithSubResourceBody(&autoscalingv1.Scale{}))
			})
		},
	}
}

func (w *walker) statusOf(apiVersion, kind, namespace string) func(context.Context) {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	obj.SetNamespace(namespace)
	obj.SetName(standing)
	return func(ctx context.Context) {
		w.try(ctx, "patch the status of "+described(obj), func(ctx context.Context) error {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"seen":"yes"}}}`))
			return w.client.Status().Patch(ctx, obj.DeepCopy(), patch, client.DryRunAll)
		})
	}
}

func apply(ctx context.Context, c client.Client, obj *unstructured.Unstructured, opts ...client.ApplyOption) error {
	opts = append(opts, client.FieldOwner("kustomize-controller"), client.ForceOwnership)
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj.DeepCopy()), opts...)
}

func described(obj *unstructured.Unstructured) string {
	out := obj.GetKind()
	if group := obj.GroupVersionKind().Group; group != "" {
		out += "." + group
	}
	if obj.GetNamespace() != "" {
		out += " in " + obj.GetNamespace()
	}
	return out
}

// Unreached says whether an error means that no API server was there to ask, rather
// than that it refused.
func Unreached(err error) bool {
	var status apierrors.APIStatus
	if err == nil || meta.IsNoMatchError(err) {
		return false
	}
	return !errors.As(err, &status) || strings.Contains(err.Error(), "connection refused")
}
