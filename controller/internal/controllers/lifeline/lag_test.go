package lifeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
)

// objects are Flux's kinds, all of them in one phase.
type objects struct {
	phase informer.Phase
	kinds map[schema.GroupVersionResource][]*unstructured.Unstructured
}

var _ Objects = (*objects)(nil)

func (o *objects) Handle(informer.Handler)      {}
func (o *objects) Apply(string, informer.Wants) {}

func (o *objects) State(string, schema.GroupVersionResource) informer.State {
	return informer.State{Phase: o.phase, Message: "told by the test"}
}

func (o *objects) List(gvr schema.GroupVersionResource, _ string) []*unstructured.Unstructured {
	return o.kinds[gvr]
}

// stopped is a Kustomization that is behind its source since noon.
func stopped(t *testing.T) map[schema.GroupVersionResource][]*unstructured.Unstructured {
	t.Helper()
	kinds := map[schema.GroupVersionResource][]*unstructured.Unstructured{}
	for gvr, manifest := range map[schema.GroupVersionResource]string{
		kustomizations: `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: shop, generation: 1}
spec: {interval: 10m0s, timeout: 1m0s, sourceRef: {kind: GitRepository, name: fleet}}
status:
  lastAttemptedRevision: main@sha1:1111111111111111111111111111111111111111
  lastAppliedRevision: main@sha1:1111111111111111111111111111111111111111
  observedGeneration: 1
  conditions:
  - {type: Ready, status: "True", reason: ReconciliationSucceeded, lastTransitionTime: "2026-01-01T00:00:00Z"}
`,
		sources()[0]: `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet, namespace: shop}
status:
  artifact: {revision: "main@sha1:2222222222222222222222222222222222222222", lastUpdateTime: "2026-01-02T12:00:00Z"}
`,
	} {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
			t.Fatal(err)
		}
		kinds[gvr] = append(kinds[gvr], o)
	}
	return kinds
}

// What cannot be read must neither hold an alert nor keep one from firing unseen.
func TestLagThatCannotBeReadIsNotMeasured(t *testing.T) {
	t.Parallel()
	lagging, known, unknown := []float64{1}, []float64{1}, []float64{0}
	tests := map[string]struct {
		phases      []informer.Phase
		wantLagging []float64
		wantKnown   []float64
	}{
		"read":                           {phases: []informer.Phase{informer.Synced}, wantLagging: lagging, wantKnown: known},
		"no longer allowed":              {phases: []informer.Phase{informer.Synced, informer.Forbidden}, wantKnown: unknown},
		"no longer served":               {phases: []informer.Phase{informer.Synced, informer.Absent}, wantKnown: unknown},
		"never allowed":                  {phases: []informer.Phase{informer.Forbidden}, wantKnown: unknown},
		"allowed again":                  {phases: []informer.Phase{informer.Synced, informer.Forbidden, informer.Synced}, wantLagging: lagging, wantKnown: known},
		"not listed yet":                 {phases: []informer.Phase{informer.Syncing}, wantKnown: unknown},
		"listed anew, which passes":      {phases: []informer.Phase{informer.Synced, informer.Syncing}, wantLagging: lagging, wantKnown: unknown},
		"listed anew and then forbidden": {phases: []informer.Phase{informer.Synced, informer.Syncing, informer.Forbidden}, wantKnown: unknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := line().Lag(time.Minute).Obj()
			l.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAlive, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonFollowing}}
			b := newBed(t, pile(l), pile(l))
			b.clock.SetTime(time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC))
			for _, phase := range tt.phases {
				b.objects = &objects{phase: phase, kinds: stopped(t)}
				b.look(t)
			}
			if diff := cmp.Diff(tt.wantLagging, values(t, b.metrics.LifelineLagging)); diff != "" {
				t.Errorf("lagging consumers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantKnown, values(t, b.metrics.LifelineLagKnown)); diff != "" {
				t.Errorf("lag known (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLagIsNotMeasuredOfALifelineThatDoesNotAskOrIsGone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *bed, *v1alpha1.Lifeline){
		"does not ask": func(t *testing.T, b *bed, l *v1alpha1.Lifeline) {
			t.Helper()
			l.Spec.Lag = nil
			if err := b.cached.Update(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, b *bed, l *v1alpha1.Lifeline) {
			t.Helper()
			if err := b.cached.Delete(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := line().Lag(time.Minute).Obj()
			b := newBed(t, pile(l), pile(l))
			b.objects = &objects{phase: informer.Synced}
			b.look(t)
			have := &v1alpha1.Lifeline{}
			if err := b.cached.Get(t.Context(), client.ObjectKeyFromObject(l), have); err != nil {
				t.Fatal(err)
			}
			change(t, b, have)
			b.look(t)
			if got := append(values(t, b.metrics.LifelineLagging), values(t, b.metrics.LifelineLagKnown)...); len(got) > 0 {
				t.Errorf("the series %v are left", got)
			}
		})
	}
}

// values of all series of a gauge.
func values(t *testing.T, gauge *prometheus.GaugeVec) []float64 {
	t.Helper()
	series := make(chan prometheus.Metric, 16)
	gauge.Collect(series)
	close(series)
	var out []float64
	for s := range series {
		var m dto.Metric
		if err := s.Write(&m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m.GetGauge().GetValue())
	}
	return out
}
