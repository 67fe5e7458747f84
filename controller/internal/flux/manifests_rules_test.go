package flux_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// repository is the root of the repository, seen from this package.
const repository = "../../.."

// deployments is the only resource that the pack matches.
var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// everyComponent is all that flux2 can install.
var everyComponent = []string{
	"source-controller", "kustomize-controller", "helm-controller", "notification-controller",
	"image-reflector-controller", "image-automation-controller", "source-watcher",
}

func TestRulePackReportsWhatStockFluxLacks(t *testing.T) {
	t.Parallel()
	manifests, err := fluxgen.Manifests(t.Context(), fluxgen.Options{Root: repository, Components: everyComponent})
	if err != nil {
		t.Fatal(err)
	}
	standbys := []string{
		"helm-controller", "image-automation-controller", "image-reflector-controller",
		"kustomize-controller", "notification-controller",
	}
	all := append([]string{"source-controller", "source-watcher"}, standbys...)
	want := map[string]map[string]v1alpha1.Outcome{
		"flux-spread-is-soft":                     outcomes(v1alpha1.OutcomeFail, all...),
		"flux-tolerations-are-short":              outcomes(v1alpha1.OutcomeFail, all...),
		"flux-standby-replicas":                   outcomes(v1alpha1.OutcomeFail, standbys...),
		"flux-standby-pdb":                        outcomes(v1alpha1.OutcomeFail, standbys...),
		"flux-singleton-replicas":                 outcomes(v1alpha1.OutcomePass, "source-controller", "source-watcher"),
		"flux-singleton-no-blocking-pdb":          outcomes(v1alpha1.OutcomePass, "source-controller", "source-watcher"),
		"scaled-past-one-without-leader-election": {},
	}
	got := map[string]map[string]v1alpha1.Outcome{}
	for name, findings := range audit(t, rulePack(t), builders.Objects(t, manifests)) {
		got[name] = map[string]v1alpha1.Outcome{}
		for object, finding := range findings {
			got[name][object] = finding.Outcome
			if finding.Outcome == v1alpha1.OutcomeFail && !strings.Contains(finding.Message, "flux-system/"+object+" ") {
				t.Errorf("%s on %s does not say which object it is about: %s", name, object, finding.Message)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings on stock Flux (-want +got):\n%s", diff)
	}
}

func TestRulePackFindsNothingAfterFluxHA(t *testing.T) {
	t.Parallel()
	for name, components := range map[string][]string{
		"the default components": nil,
		"every component":        everyComponent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifests, err := fluxgen.Manifests(t.Context(), fluxgen.Options{Root: repository, Components: components})
			if err != nil {
				t.Fatal(err)
			}
			patched, err := fluxgen.WithPatches(repository, manifests, "patches/flux-ha")
			if err != nil {
				t.Fatal(err)
			}
			matched := 0
			for rule, findings := range audit(t, rulePack(t), builders.Objects(t, patched)) {
				for object, finding := range findings {
					matched++
					if finding.Outcome != v1alpha1.OutcomePass {
						t.Errorf("%s on %s: %s: %s", rule, object, finding.Outcome, finding.Message)
					}
				}
			}
			// Each controller is under four rules at least.
			if least := 4 * max(len(components), 4); matched < least {
				t.Errorf("the pack was evaluated %d times, want at least %d", matched, least)
			}
		})
	}
}

func TestRulePackOnOneDeployment(t *testing.T) {
	t.Parallel()
	pack := rulePack(t)
	for name, tc := range ruleCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*unstructured.Unstructured
			for _, text := range append([]string{tc.deployment}, tc.others...) {
				all = append(all, builders.Objects(t, []byte(text))...)
			}
			findings := audit(t, pack, all)[tc.rule]
			got, matched := findings[all[0].GetName()]
			switch {
			case tc.wantUnmatched && matched:
				t.Fatalf("matched with outcome %s: %s", got.Outcome, got.Message)
			case tc.wantUnmatched:
				return
			case !matched:
				t.Fatal("not matched")
			}
			want := v1alpha1.OutcomePass
			if tc.wantMessage != "" {
				want = v1alpha1.OutcomeFail
			}
			if got.Outcome != want || !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("got %s: %s\nwant %s: … %s …", got.Outcome, got.Message, want, tc.wantMessage)
			}
		})
	}
}

func TestShippedObjectsHaveNoUnknownFields(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for _, obj := range builders.Objects(t, build(t, "manifests/rules")) {
		kinds[obj.GetKind()]++
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		var into any = &v1alpha1.ClusterRule{}
		if obj.GetKind() == "Lifeline" {
			into = &v1alpha1.Lifeline{}
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s %s: %v", obj.GetKind(), obj.GetName(), err)
		}
	}
	if diff := cmp.Diff(map[string]int{"ClusterRule": 7, "Lifeline": 2}, kinds); diff != "" {
		t.Errorf("kinds in manifests/rules (-want +got):\n%s", diff)
	}
}

func outcomes(outcome v1alpha1.Outcome, names ...string) map[string]v1alpha1.Outcome {
	all := map[string]v1alpha1.Outcome{}
	for _, name := range names {
		all[name] = outcome
	}
	return all
}

// build renders a kustomization of this repository.
func build(t *testing.T, path string) []byte {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	out, err := kustomization.BuildWithRoot(root, filepath.Join(root, path))
	if err != nil {
		t.Fatalf("building %s: %v", path, err)
	}
	return out
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

// audit evaluates each rule on each Deployment that it matches; what the rules
// refer to is taken from the same objects. The result is by rule and Deployment.
func audit(t *testing.T, pack []*rule.Rule, all []*unstructured.Unstructured) map[string]map[string]rule.Finding {
	t.Helper()
	findings := map[string]map[string]rule.Finding{}
	for _, r := range pack {
		byName := map[string]rule.Finding{}
		findings[r.Key().Name] = byName
		for _, obj := range all {
			if obj.GetKind() != "Deployment" || !r.MatchesResource(deployments, true) || !r.MatchesObject(deployments, obj, nil) {
				continue
			}
			finding := r.Evaluate(t.Context(), rule.Input{Object: obj, Resource: deployments, Refs: lists(all), Now: time.Now()})
			if finding.Outcome == v1alpha1.OutcomeError {
				t.Errorf("%s on %s: %s", r.Key(), obj.GetName(), finding.Message)
			}
			if finding.Matched {
				byName[obj.GetName()] = finding
			}
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
