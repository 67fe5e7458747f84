package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// store has ConfigMaps and Secrets in the namespace ns, each of which takes a while to get.
type store struct {
	maps, secrets []*unstructured.Unstructured
	takes         atomic.Int64 // nanoseconds
	unserved      bool         // Secrets
	// phases are Synced where they are not said.
	phases map[schema.GroupVersionResource]informer.Phase
	// listed counts lists.
	listed map[schema.GroupVersionResource]int
}

var _ Objects = (*store)(nil)

func newStore(count int) *store {
	s := &store{phases: map[schema.GroupVersionResource]informer.Phase{}, listed: map[schema.GroupVersionResource]int{}}
	for i := range count {
		s.maps = append(s.maps, object("ConfigMap", fmt.Sprintf("m%d", i)))
	}
	return s
}

// withSecret has one Secret.
func (s *store) withSecret() *store {
	s.secrets = append(s.secrets, object("Secret", "s"))
	return s
}

func object(kind, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"namespace": "ns", "name": name, "uid": name},
	}}
}

func (s *store) Handle(informer.Handler)      {}
func (s *store) Apply(string, informer.Wants) {}
func (s *store) Discovered() bool             { return true }

func (s *store) Resources() []informer.Resource {
	served := []informer.Resource{{GroupVersionResource: configMaps, Kind: "ConfigMap", Namespaced: true, Preferred: true}}
	if !s.unserved {
		served = append(served, informer.Resource{GroupVersionResource: secrets, Kind: "Secret", Namespaced: true, Preferred: true})
	}
	return served
}

func (s *store) State(_ string, gvr schema.GroupVersionResource) informer.State {
	return informer.State{Phase: cmp.Or(s.phases[gvr], informer.Synced)}
}

func (s *store) Get(gvr schema.GroupVersionResource, _, name string) *unstructured.Unstructured {
	time.Sleep(time.Duration(s.takes.Load()))
	for _, obj := range s.of(gvr) {
		if obj.GetName() == name {
			return obj
		}
	}
	return nil
}

func (s *store) List(gvr schema.GroupVersionResource, _ string) []*unstructured.Unstructured {
	s.listed[gvr]++
	return slices.Clone(s.of(gvr))
}

func (s *store) of(gvr schema.GroupVersionResource) []*unstructured.Unstructured {
	if gvr == secrets {
		return s.secrets
	}
	return s.maps
}

// bed is an engine with one rule that nobody but the test has evaluated. The engine
// reads now, and its queue ticks.
type bed struct {
	*Engine
	key       rule.Key
	store     *store
	now, tick *clocktesting.FakeClock
}

func newBed(t *testing.T, s *store, r *v1alpha1.ClusterRule) *bed {
	t.Helper()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	b := &bed{key: rule.Key{Kind: rule.KindClusterRule, Name: r.Name}, store: s, now: clocktesting.NewFakeClock(began), tick: clocktesting.NewFakeClock(began)}
	b.Engine = NewEngine(s, compiler, b.tick, m)
	b.clock = b.now
	t.Cleanup(b.queue.ShutDown)
	b.SetRule(b.key, "rule", 1, &r.Spec)
	if mistakes := b.rules[b.key].mistakes; len(mistakes) > 0 {
		t.Fatal(mistakes.ToAggregate())
	}
	return b
}

// turn evaluates the rule once, if it is in the queue or comes into it soon.
func (b *bed) turn(t *testing.T) bool {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for b.queue.Len() == 0 {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	key, _ := b.queue.Get()
	b.evaluate(t.Context(), key)
	b.queue.Done(key)
	return true
}

// work takes turns until the queue is empty.
func (b *bed) work(t *testing.T) {
	t.Helper()
	for b.queue.Len() > 0 {
		b.turn(t)
	}
}

// turns has the objects of a resource be in another phase, and the engine told so.
func (b *bed) turns(gvr schema.GroupVersionResource, phase informer.Phase) {
	b.store.phases[gvr] = phase
	b.StateChanged(gvr)
}

// summary is nil as long as the rule has no result.
func (b *bed) summary() *v1alpha1.RuleSummary {
	report, _ := b.Report(b.key)
	return report.Summary
}
