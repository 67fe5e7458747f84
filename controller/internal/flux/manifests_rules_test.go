package flux_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// repository is the root of the repository, seen from this package.
const repository = "../../.."

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
	priorities := outcomes(v1alpha1.OutcomePass, "source-controller", "source-watcher", "kustomize-controller", "helm-controller")
	for _, name := range []string{"notification-controller", "image-reflector-controller", "image-automation-controller"} {
		priorities[name] = v1alpha1.OutcomeFail
	}
	want := map[string]map[string]v1alpha1.Outcome{
		"flux-spread-is-soft":                     outcomes(v1alpha1.OutcomeFail, all...),
		"flux-tolerations-are-short":              outcomes(v1alpha1.OutcomeFail, all...),
		"flux-standby-replicas":                   outcomes(v1alpha1.OutcomeFail, standbys...),
		"flux-standby-pdb":                        outcomes(v1alpha1.OutcomeFail, standbys...),
		"flux-singleton-replicas":                 outcomes(v1alpha1.OutcomePass, "source-controller", "source-watcher"),
		"flux-singleton-no-blocking-pdb":          outcomes(v1alpha1.OutcomePass, "source-controller", "source-watcher"),
		"flux-replicas-are-kept-apart":            {},
		"flux-priority-class":                     priorities,
		"flux-lease-timings":                      outcomes(v1alpha1.OutcomeFail, all...),
		"flux-no-read-write-once-volume":          outcomes(v1alpha1.OutcomePass, all...),
		"flux-operator-outlives-a-worker":         {},
		"recovery-path-requests-memory":           outcomes(v1alpha1.OutcomePass, all...),
		"webhook-spares-the-recovery-path":        {},
		"webhook-outlives-a-worker":               {},
		"scaled-past-one-without-leader-election": {},
		"namespace-is-bypassed":                   outcomes(v1alpha1.OutcomePass, "flux-system"),
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
			// Each controller is under eight rules at least.
			if least := 8 * max(len(components), 4); matched < least {
				t.Errorf("the pack was evaluated %d times, want at least %d", matched, least)
			}
		})
	}
}

func TestRulePackOnOneObject(t *testing.T) {
	t.Parallel()
	pack := rulePack(t)
	for name, tc := range ruleCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*unstructured.Unstructured
			for _, text := range append([]string{tc.object}, tc.others...) {
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
	if diff := cmp.Diff(map[string]int{"ClusterRule": 16, "Lifeline": 3}, kinds); diff != "" {
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
