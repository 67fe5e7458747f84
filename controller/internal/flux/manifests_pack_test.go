package flux_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// resources are those that the pack matches, by kind.
func resources() map[string]schema.GroupVersionResource {
	return map[string]schema.GroupVersionResource{
		"Namespace":                      {Version: "v1", Resource: "namespaces"},
		"Deployment":                     {Group: "apps", Version: "v1", Resource: "deployments"},
		"DaemonSet":                      {Group: "apps", Version: "v1", Resource: "daemonsets"},
		"StatefulSet":                    {Group: "apps", Version: "v1", Resource: "statefulsets"},
		"MutatingWebhookConfiguration":   {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
		"ValidatingWebhookConfiguration": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	}
}

// rulePack compiles the rules of manifests/rules.
func rulePack(t *testing.T) []*rule.Rule {
	t.Helper()
	compiler, err := expr.NewCompiler(64)
	if err != nil {
		t.Fatal(err)
	}
	var pack []*rule.Rule
	for _, obj := range builders.Objects(t, build(t, "manifests/rules")) {
		if obj.GetKind() != "ClusterRule" {
			continue
		}
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		var shipped v1alpha1.ClusterRule
		if err := yaml.UnmarshalStrict(text, &shipped); err != nil {
			t.Fatalf("reading rule %s: %v", obj.GetName(), err)
		}
		compiled, errs := rule.Compile(compiler, rule.Key{Kind: rule.KindClusterRule, Name: shipped.Name}, 1, &shipped.Spec)
		if len(errs) > 0 {
			t.Fatalf("compiling rule %s: %v", shipped.Name, errs.ToAggregate())
		}
		pack = append(pack, compiled)
	}
	return pack
}

// audit evaluates each rule on each object that it matches; what the rules refer
// to is taken from the same objects. The result is by rule and name of the object.
func audit(t *testing.T, pack []*rule.Rule, all []*unstructured.Unstructured) map[string]map[string]rule.Finding {
	t.Helper()
	findings := map[string]map[string]rule.Finding{}
	for _, r := range pack {
		findings[r.Key().Name] = map[string]rule.Finding{}
	}
	for _, obj := range all {
		for name, finding := range auditOne(t, pack, obj, all) {
			if finding.Outcome == v1alpha1.OutcomeError {
				t.Errorf("%s on %s: %s", name, obj.GetName(), finding.Message)
			}
			findings[name][obj.GetName()] = finding
		}
	}
	return findings
}

// auditOne evaluates each rule that matches the object, beside all others. The
// result is by rule.
func auditOne(t *testing.T, pack []*rule.Rule, obj *unstructured.Unstructured, all []*unstructured.Unstructured) map[string]rule.Finding {
	t.Helper()
	findings := map[string]rule.Finding{}
	resource, known := resources()[obj.GetKind()]
	if !known {
		return findings
	}
	for _, r := range pack {
		if !r.MatchesResource(resource, obj.GetNamespace() != "") || !r.MatchesObject(resource, obj, nil) {
			continue
		}
		finding := r.Evaluate(t.Context(), rule.Input{Object: obj, Resource: resource, Refs: lists(all), Now: time.Now()})
		if finding.Matched || finding.Outcome == v1alpha1.OutcomeError {
			findings[r.Key().Name] = finding
		}
	}
	return findings
}

// lists are the objects that rules refer to.
type lists []*unstructured.Unstructured

func (l lists) List(reference rule.Reference, namespace string) (expr.List, error) {
	var found []map[string]any
	for _, obj := range l {
		if obj.GroupVersionKind() == reference.GVK &&
			reference.Namespaces.Include(obj.GetNamespace(), namespace) &&
			reference.Selector.Matches(labels.Set(obj.GetLabels())) {
			found = append(found, obj.Object)
		}
	}
	return expr.NewList(found), nil
}

// deployment is a Deployment called name in flux-system. The extra lines belong
// to its metadata.labels, its spec and its pods' spec.
func deployment(name string, replicas int, labels, spec string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  namespace: flux-system
  labels:
    app: %[1]s
%[3]s
spec:
  replicas: %[2]d
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
        part-of: set
    spec:
%[4]s
`, name, replicas, indent(4, labels), indent(6, spec))
}

func indent(by int, text string) string {
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}
