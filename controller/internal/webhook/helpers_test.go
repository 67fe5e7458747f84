package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// fakeObjects are objects that a test sets.
type fakeObjects struct {
	mu       sync.Mutex
	handlers []informer.Handler
	served   []informer.Resource
	states   map[schema.GroupVersionResource]informer.State
	objects  map[schema.GroupVersionResource]map[types.NamespacedName]*unstructured.Unstructured
	wants    map[string]informer.Wants
	// listed counts lists that were read.
	listed int
}

var _ Objects = (*fakeObjects)(nil)

var (
	podsGVR        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	deploymentsGVR = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

func newFakeObjects() *fakeObjects {
	return &fakeObjects{
		served: []informer.Resource{
			{GroupVersionResource: podsGVR, Kind: "Pod", Namespaced: true, Preferred: true},
			{GroupVersionResource: deploymentsGVR, Kind: "Deployment", Namespaced: true, Preferred: true},
			{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, Kind: "Node", Preferred: true},
			{GroupVersionResource: namespaces, Kind: "Namespace", Preferred: true},
		},
		states:  map[schema.GroupVersionResource]informer.State{},
		objects: map[schema.GroupVersionResource]map[types.NamespacedName]*unstructured.Unstructured{},
		wants:   map[string]informer.Wants{},
	}
}

func (f *fakeObjects) Handle(h informer.Handler) { f.handlers = append(f.handlers, h) }

func (f *fakeObjects) Apply(consumer string, wants informer.Wants) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wants[consumer] = wants
}

func (f *fakeObjects) Discovered() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served != nil
}

func (f *fakeObjects) Resources() []informer.Resource {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]informer.Resource{}, f.served...)
}

func (f *fakeObjects) State(_ string, gvr schema.GroupVersionResource) informer.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state, ok := f.states[gvr]; ok {
		return state
	}
	return informer.State{Phase: informer.Synced}
}

func (f *fakeObjects) Get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.objects[gvr][types.NamespacedName{Namespace: namespace, Name: name}]
}

func (f *fakeObjects) List(gvr schema.GroupVersionResource, namespace string) []*unstructured.Unstructured {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed++
	var out []*unstructured.Unstructured
	for at, obj := range f.objects[gvr] {
		if namespace == "" || at.Namespace == namespace {
			out = append(out, obj)
		}
	}
	return out
}

// set puts an object there, or with nil takes it away, and tells.
func (f *fakeObjects) set(gvr schema.GroupVersionResource, namespace, name string, obj *unstructured.Unstructured) {
	f.mu.Lock()
	at := types.NamespacedName{Namespace: namespace, Name: name}
	if f.objects[gvr] == nil {
		f.objects[gvr] = map[types.NamespacedName]*unstructured.Unstructured{}
	}
	old := f.objects[gvr][at]
	if obj == nil {
		delete(f.objects[gvr], at)
	} else {
		f.objects[gvr][at] = obj
	}
	f.mu.Unlock()
	for _, h := range f.handlers {
		h.ObjectChanged(gvr, old, obj)
	}
}

func (f *fakeObjects) setState(gvr schema.GroupVersionResource, state informer.State) {
	f.mu.Lock()
	f.states[gvr] = state
	f.mu.Unlock()
	for _, h := range f.handlers {
		h.StateChanged(gvr)
	}
}

func pod(namespace, name, app string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": map[string]any{"app": app}},
		"spec":     map[string]any{},
	}}
}

func namespace(name string, labels map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": labels},
	}}
}

// fixture is an engine that runs.
type fixture struct {
	*Engine
	objects  *fakeObjects
	passive  *clocktesting.FakePassiveClock
	handler  http.Handler
	observed *observer
}

type observer struct {
	mu        sync.Mutex
	all, owns int
}

func (o *observer) Reviewed(own bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all++
	if own {
		o.owns++
	}
}

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newEngine(tb testing.TB, objects *fakeObjects) *fixture {
	tb.Helper()
	compiler, err := expr.NewCompiler(2048)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	f := &fixture{objects: objects, passive: clocktesting.NewFakePassiveClock(testNow), observed: &observer{}}
	f.Engine = NewEngine(objects, compiler, f.passive, m)
	f.handler = f.Handler(f.observed)
	return f
}

// start runs the engine and waits until it is synced.
func start(tb testing.TB, objects *fakeObjects, rules ...*v1alpha1.ClusterRule) *fixture {
	tb.Helper()
	f := newEngine(tb, objects)
	for _, r := range rules {
		f.set(r)
	}
	f.run(tb)
	f.await(tb, "synced", f.Synced)
	return f
}

func (f *fixture) run(tb testing.TB) {
	tb.Helper()
	go func() { _ = f.Start(tb.Context()) }()
}

func (f *fixture) set(r *v1alpha1.ClusterRule) {
	f.SetRule(rule.Key{Kind: rule.KindClusterRule, Name: r.Name}, "uid", r.Generation, &r.Spec)
}

func (f *fixture) await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			tb.Fatalf("never %s", what)
		case <-ticker.C:
		}
	}
}

// groupOf is the group of a rule.
func groupOf(tb testing.TB, r *v1alpha1.ClusterRule) string {
	tb.Helper()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		tb.Fatal(err)
	}
	compiled, errs := rule.Compile(compiler, rule.Key{Kind: rule.KindClusterRule, Name: r.Name}, 1, &r.Spec)
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	return policy.Group(compiled)
}

// review asks about a request that is given in YAML, with defaults.
func review(tb testing.TB, text string) []byte {
	tb.Helper()
	request := map[string]any{
		"uid": "u1", "operation": "CREATE", "namespace": "shop", "name": "web-1",
		"kind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
		"resource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
		"userInfo": map[string]any{"username": "jane"}, "dryRun": false,
	}
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &given); err != nil {
		tb.Fatal(err)
	}
	maps.Copy(request, given)
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

const aPod = "{object: {apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {}}}"

// ask posts a review.
func (f *fixture) ask(tb testing.TB, path string, body []byte) (int, *admissionv1.AdmissionResponse) {
	tb.Helper()
	return post(tb, f.handler, path, body)
}

func post(tb testing.TB, handler http.Handler, path string, body []byte) (int, *admissionv1.AdmissionResponse) {
	tb.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)).WithContext(tb.Context()))
	if recorder.Code != http.StatusOK {
		return recorder.Code, nil
	}
	answer := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		tb.Fatalf("answer %s: %v", recorder.Body, err)
	}
	return recorder.Code, answer.Response
}

// says is the answer in short.
func (f *fixture) says(tb testing.TB, r *v1alpha1.ClusterRule, request string) string {
	tb.Helper()
	code, response := f.ask(tb, policy.AdmitPath+groupOf(tb, r)+"?timeout=30s", review(tb, request))
	switch {
	case response == nil:
		return fmt.Sprintf("HTTP %d", code)
	case response.Allowed:
		return strings.Join(append([]string{"allowed"}, response.Warnings...), ": ")
	}
	return fmt.Sprintf("%d %s: %s", response.Result.Code, response.Result.Reason, response.Result.Message)
}

// podRule is about pods, and refers to those of its namespace with app=web.
func podRule(name string) *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule(name).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
		Refer("pods", "v1", "Pod", v1alpha1.NamespacesSame).ReferLabels("app", "web")
}
