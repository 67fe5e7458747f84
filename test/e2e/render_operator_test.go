//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
	"github.com/mainstay-dev/mainstay/test/images"
)

// operatorRun is a cluster with flux-operator.
type operatorRun struct {
	client  client.Client
	dynamic dynamic.Interface
}

// startOperator starts a cluster with one worker, on which flux-operator runs.
func startOperator(t *testing.T, root string) *operatorRun {
	t.Helper()
	ctx := t.Context()
	built, err := images.Build(ctx, os.Stderr, images.FluxOperator)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Real: true, Workers: 1, Images: []string{built[images.FluxOperator].Archive}, Out: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	events := eventServer(t, c.HostIP())
	o := newOperatorRun(t, c.Config())
	manifests, err := fluxgen.Operator(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range builders.Objects(t, manifests) {
		if object.GetKind() == "Deployment" {
			environment(t, object, map[string]any{"name": "GODEBUG", "value": "fips140=on"}, map[string]any{"name": "HTTP_PROXY", "value": events})
		}
		if err := o.client.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, "flux-operator runs", func(ctx context.Context) (bool, string) {
		var operator appsv1.Deployment
		if err := o.client.Get(ctx, types.NamespacedName{Namespace: fluxNamespace, Name: "flux-operator"}, &operator); err != nil {
			return false, err.Error()
		}
		return operator.Status.AvailableReplicas == 1, fmt.Sprintf("%d replicas available", operator.Status.AvailableReplicas)
	})
	// The controllers stay Pending: they would take the worker from flux-operator, which
	// has not their priority.
	if _, err := c.Kubectl(ctx, "cordon", "worker-1"); err != nil {
		t.Fatal(err)
	}
	return o
}

func newOperatorRun(t *testing.T, cfg *rest.Config) *operatorRun {
	t.Helper()
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = -1, -1
	// What the API server finds deprecated in Flux's manifests is Flux's to know.
	cfg.WarningHandler = rest.NoWarnings{}
	o := &operatorRun{}
	var err error
	if o.client, err = client.New(cfg, client.Options{}); err != nil {
		t.Fatal(err)
	}
	if o.dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	return o
}

// eventServer takes the events that flux-operator sends to notification-controller,
// which does not run: each reconciliation would wait for it for 15 s. It is reached as
// a proxy, whatever the domain of the cluster is in an instance.
func eventServer(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// environment adds variables to the container of flux-operator, which ends at once
// without FIPS 140-3 mode.
func environment(t *testing.T, deployment *unstructured.Unstructured, variables ...any) {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) != 1 {
		t.Fatalf("the containers of flux-operator: %v, %v; want one", containers, err)
	}
	container := containers[0].(map[string]any)
	env, _ := container["env"].([]any)
	container["env"] = append(env, variables...)
	if err := unstructured.SetNestedSlice(deployment.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
}

// reconcile gives the cluster this FluxInstance in place of the one that it has, and
// waits for flux-operator. It returns what the instance says where it is not Ready.
func (o *operatorRun) reconcile(t *testing.T, instance *unstructured.Unstructured) string {
	t.Helper()
	ctx := t.Context()
	current, err := o.read(ctx, instance)
	switch {
	case apierrors.IsNotFound(err):
		err = o.client.Create(ctx, instance.DeepCopy())
	case err == nil:
		current.Object["spec"] = instance.Object["spec"]
		err = o.client.Update(ctx, current)
	}
	if err != nil {
		t.Fatalf("writing the FluxInstance: %v", err)
	}
	said := ""
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		current, err := o.read(ctx, instance)
		if err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(current.Object, "status", "conditions")
		for _, one := range conditions {
			c, ok := one.(map[string]any)
			if !ok || c["type"] != "Ready" || c["observedGeneration"] != current.GetGeneration() {
				continue
			}
			said = fmt.Sprintf("Ready=%v, %v: %v", c["status"], c["reason"], c["message"])
			if c["status"] == "True" {
				said = ""
				return true, nil
			}
			return c["status"] == "False", nil
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("waiting for flux-operator: %v; the FluxInstance says %s", err, said)
	}
	return said
}

// inventory are the objects that flux-operator has applied, sorted.
func (o *operatorRun) inventory(t *testing.T) []string {
	t.Helper()
	instance, err := get(t.Context(), o.client, "fluxcd.controlplane.io/v1", "FluxInstance", fluxNamespace, "flux")
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := unstructured.NestedSlice(instance.Object, "status", "inventory", "entries")
	if err != nil || len(entries) == 0 {
		t.Fatalf("the FluxInstance has the inventory %v, %v", entries, err)
	}
	var out []string
	for _, one := range entries {
		entry := one.(map[string]any)
		out = append(out, fmt.Sprintf("%v %v", entry["id"], entry["v"]))
	}
	slices.Sort(out)
	return out
}

// wouldApply is the object as it would be once flux-operator applied this in its place.
func (o *operatorRun) wouldApply(ctx context.Context, rendered *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	gvk := rendered.GroupVersionKind()
	mapping, err := o.client.RESTMapper().RESTMapping(schema.GroupKind{Group: gvk.Group, Kind: gvk.Kind}, gvk.Version)
	if err != nil {
		return nil, err
	}
	return o.dynamic.Resource(mapping.Resource).Namespace(rendered.GetNamespace()).Apply(ctx, rendered.GetName(), rendered, metav1.ApplyOptions{
		FieldManager: operatorManager, Force: true, DryRun: []string{metav1.DryRunAll},
	})
}
