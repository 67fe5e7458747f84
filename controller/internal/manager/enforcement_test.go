package manager_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// With the Component enforcement, what a person does to Flux by hand is denied where it
// would stop delivery, and Flux itself is not.
func TestEnforcementComponent(t *testing.T) {
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}})
	for _, name := range []string{"source-controller", "kustomize-controller", "helm-controller"} {
		e.create(t, builders.MakeDeployment("flux-system", name).Label("app.kubernetes.io/part-of", "flux").Replicas(1).Obj())
	}
	e.enforce(t)
	e.startReplica(t, options("enforces"))

	// A request that is let in too early changes nothing.
	person := client.NewDryRunClient(e.administrator(t, "sue"))
	flux := e.administrator(t, "system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccounts", "system:serviceaccounts:flux-system")
	const denied = "it delivers with exactly 1"
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(e.replicas(ctx, person, "source-controller", 2), denied)
	})
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(e.scale(ctx, person, "source-controller", 2), "delivers with exactly 1 replica")
	})
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(e.hardSpread(ctx, person, "kustomize-controller"), "that is not soft")
	})
	if err := e.hardSpread(t.Context(), flux, "helm-controller"); err != nil {
		t.Errorf("Flux applies a spread that is not soft: %v", err)
	}
	image := e.patch(t.Context(), person, "helm-controller", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "another" })
	for _, try := range []struct {
		what string
		err  error
	}{
		{"a person changes the image of what is hard already", image},
		{"a person scales a standby controller", e.scale(t.Context(), person, "kustomize-controller", 3)},
		{"a person scales the singleton to none", e.scale(t.Context(), person, "source-controller", 0)},
		{"a person leaves one standby, and is warned", e.replicas(t.Context(), person, "kustomize-controller", 1)},
		{"Flux applies two of the singleton", e.replicas(t.Context(), flux, "source-controller", 2)},
		{"a person mends something else of it", e.annotate(t.Context(), person, "source-controller")},
	} {
		if try.err != nil {
			t.Errorf("%s: %v", try.what, try.err)
		}
	}
}

// enforce applies the rules with the Component.
func (e *env) enforce(t *testing.T) {
	t.Helper()
	manifests, err := filepath.Abs(filepath.Join("..", "..", "..", "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	// kustomize takes no absolute paths.
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "manifests"), os.DirFS(manifests)); err != nil {
		t.Fatal(err)
	}
	kustomization := "resources: [manifests/rules]\ncomponents: [manifests/components/enforcement]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := e.Kubectl(t.Context(), "apply", "--server-side", "-k", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// administrator is a client of somebody who may do everything, and is none of
// system:masters.
func (e *env) administrator(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	if _, err := e.Kubectl(t.Context(), "create", "clusterrolebinding", strings.ReplaceAll(user, ":", "-"), "--clusterrole=cluster-admin", "--user="+user); err != nil {
		t.Fatal(err)
	}
	return e.as(t, user, append(groups, "system:authenticated")...)
}

func refused(err error, why string) (bool, string) {
	if err == nil {
		return false, "admitted"
	}
	return strings.Contains(err.Error(), why), err.Error()
}

func (e *env) replicas(ctx context.Context, as client.Client, name string, n int32) error {
	return e.patch(ctx, as, name, func(d *appsv1.Deployment) { d.Spec.Replicas = &n })
}

func (e *env) hardSpread(ctx context.Context, as client.Client, name string) error {
	return e.patch(ctx, as, name, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: d.Spec.Selector,
		}}
	})
}

func (e *env) annotate(ctx context.Context, as client.Client, name string) error {
	return e.patch(ctx, as, name, func(d *appsv1.Deployment) { d.Annotations = map[string]string{"mended": "true"} })
}

func (e *env) patch(ctx context.Context, as client.Client, name string, change func(*appsv1.Deployment)) error {
	var d appsv1.Deployment
	if err := e.client.Get(ctx, client.ObjectKey{Namespace: "flux-system", Name: name}, &d); err != nil {
		return err
	}
	before := d.DeepCopy()
	change(&d)
	return as.Patch(ctx, &d, client.MergeFrom(before))
}

func (e *env) scale(ctx context.Context, as client.Client, name string, n int32) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: name}}
	return as.SubResource("scale").Update(ctx, d, client.WithSubResourceBody(&autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: name}, Spec: autoscalingv1.ScaleSpec{Replicas: n},
	}))
}

// Only who has the verb bypass may have a namespace bypassed.
func TestBypassTakesAVerb(t *testing.T) {
	namespace := shared.namespace(t, nil)
	role := strings.ReplaceAll(namespace, "test-", "labels-")
	if _, err := shared.Kubectl(t.Context(), "create", "clusterrole", role, "--verb=get,patch,update", "--resource=namespaces,namespaces/status,namespaces/finalize"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"tom", "tina"} {
		if _, err := shared.Kubectl(t.Context(), "create", "clusterrolebinding", role+"-"+user, "--clusterrole="+role, "--user="+user); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := shared.Kubectl(t.Context(), "create", "clusterrolebinding", role+"-bypass", "--clusterrole=mainstay-bypass", "--user=tina"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = shared.Kubectl(context.Background(), "delete", "clusterrole", role)
		_, _ = shared.Kubectl(context.Background(), "delete", "clusterrolebinding", role+"-tom", role+"-tina", role+"-bypass")
	})
	label := func(user string, labels map[string]string) error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		before := ns.DeepCopy()
		ns.Labels = labels
		return shared.as(t, user, "system:authenticated").Patch(t.Context(), ns, client.MergeFrom(before))
	}
	eventually(t, takeUp, func(context.Context) (bool, string) {
		return refused(label("tom", map[string]string{"mainstay.dev/bypass": "true"}), "takes the verb bypass on namespaces")
	})
	if err := label("tom", map[string]string{"team": "web"}); err != nil {
		t.Errorf("another label: %v", err)
	}
	for _, subresource := range []string{"status", "finalize"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if err := shared.client.Get(t.Context(), client.ObjectKeyFromObject(ns), ns); err != nil {
			t.Fatal(err)
		}
		ns.Labels["mainstay.dev/bypass"] = "true"
		err := shared.as(t, "tom", "system:authenticated").SubResource(subresource).Update(t.Context(), ns)
		if ok, seen := refused(err, "takes the verb bypass on namespaces"); !ok {
			t.Errorf("by %s: %s", subresource, seen)
		}
	}
	eventually(t, takeUp, func(context.Context) (bool, string) {
		err := label("tina", map[string]string{"mainstay.dev/bypass": "true"})
		return err == nil, "refused"
	})
	if err := label("tom", map[string]string{"team": "shop"}); err != nil {
		t.Errorf("another label of a namespace that is bypassed: %v", err)
	}

	// Its use is audited: a finding, an Event and a metric.
	rule := &v1alpha1.ClusterRule{}
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "manifests", "rules", "namespace-is-bypassed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, rule); err != nil {
		t.Fatal(err)
	}
	shared.create(t, rule)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, shared, &v1alpha1.ClusterRule{ObjectMeta: metav1.ObjectMeta{Name: rule.Name}})
		if err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(got.Status.Violations, func(v v1alpha1.Violation) bool {
			return v.Kind == "Namespace" && v.Name == namespace && strings.Contains(v.Message, "nothing is denied in Namespace "+namespace)
		}), fmt.Sprint(got.Status.Violations)
	})
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		var events eventsv1.EventList
		if err := shared.client.List(ctx, &events); err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Reason == "Violation" && e.Regarding.Kind == "Namespace" && e.Regarding.Name == namespace
		}), fmt.Sprintf("%d events", len(events.Items))
	})
	if got := gauge(t, "mainstay_rule_findings", map[string]string{"name": rule.Name, "outcome": "fail", "severity": "high"}); got < 1 {
		t.Errorf("mainstay_rule_findings is %v, want 1 at least", got)
	}
}
