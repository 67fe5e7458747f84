package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/webhook"
)

// minTold is how many cases of the corpus the API server has to have told the
// webhook of.
const minTold = 200

// webhookPlane is the webhook as an API server asks it. Beside the rules that it
// is for it is told of every request about Things and Deployments, before the
// API server's own policies are asked.
type webhookPlane struct {
	server  *apiServer
	engine  *webhook.Engine
	objects *informer.Set
	address string
	bundle  []byte

	mu   sync.Mutex
	told map[string][]byte
	seen int
}

func startWebhook(t *testing.T, s *apiServer, compiler *expr.Compiler) *webhookPlane {
	t.Helper()
	cfg, err := s.cluster.ConfigFor("system:apiserver", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	dyn, errDyn := dynamic.NewForConfig(cfg)
	meta, errMeta := metadata.NewForConfig(cfg)
	disco, errDisco := discovery.NewDiscoveryClientForConfig(cfg)
	m, errMetrics := metrics.New(prometheus.NewRegistry())
	for _, err := range []error{errDyn, errMeta, errDisco, errMetrics} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &webhookPlane{server: s, told: map[string][]byte{}}
	w.objects = informer.New(informer.Clients{Dynamic: dyn, Metadata: meta, Discovery: disco}, logr.Discard())
	w.engine = webhook.NewEngine(w.objects, compiler, clocktesting.NewFakePassiveClock(now), m)
	mux := http.NewServeMux()
	mux.Handle(policy.AdmitPath, w.engine.Handler(nil))
	mux.HandleFunc("/told", w.listen)
	server := httptest.NewTLSServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.objects.Start(ctx) })
	running.Go(func() { _ = w.engine.Start(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		server.Close()
	})
	w.address = server.URL
	w.bundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	// Its own rules' webhooks are asked after policies: this one is asked before.
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	told := w.address + "/told"
	everything := []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll}
	err = s.system.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "told"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "told.corpus.example.com", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &told, CABundle: w.bundle},
			Rules: []admissionregistrationv1.RuleWithOperations{{Operations: everything, Rule: admissionregistrationv1.Rule{
				APIGroups: []string{corpusGroup, "apps"}, APIVersions: []string{"*"}, Resources: []string{"*/*"},
			}}},
			MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "people", Expression: "!request.userInfo.username.startsWith('system:')"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.await(t, "the API server tells of requests", func() bool {
		thing := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": corpusGroup + "/v1", "kind": "Thing", "metadata": map[string]any{"namespace": "default", "name": "told"}, "spec": map[string]any{},
		}}
		if err := s.as(t, corpusUser).Create(t.Context(), thing, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.told) > 0
	})
	return w
}

func (w *webhookPlane) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// place is where the requests of a document are told: the cases of one are
// asked one after another.
func place(user, namespace, label string) string {
	if label != "" {
		return user + " " + label
	}
	return user + " " + namespace
}

// listen takes note of a request, and has nothing against it.
func (w *webhookPlane) listen(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	review := admissionv1.AdmissionReview{}
	if err != nil || json.Unmarshal(body, &review) != nil || review.Request == nil {
		http.Error(out, "no review", http.StatusBadRequest)
		return
	}
	obj := metav1.PartialObjectMetadata{}
	for _, raw := range [][]byte{review.Request.OldObject.Raw, review.Request.Object.Raw} {
		_ = json.Unmarshal(raw, &obj)
	}
	w.mu.Lock()
	w.told[place(review.Request.UserInfo.Username, review.Request.Namespace, obj.Labels["corpus"])] = body
	w.mu.Unlock()
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	if err := json.NewEncoder(out).Encode(review); err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
	}
}

// take is the review that the API server told of last for a case; false where there is none.
func (w *webhookPlane) take(d *corpusRule, tc *corpusCase) ([]byte, bool) {
	user, label := tc.User, ""
	if user == "" {
		user = corpusUser
	}
	if d.ByLabel {
		label = d.Rule
	}
	at := place(user, d.Namespace, label)
	w.mu.Lock()
	defer w.mu.Unlock()
	body, found := w.told[at]
	delete(w.told, at)
	return body, found
}

// evaluate is what the webhook's evaluation says of the request that was made
// last for a case; false where the API server did not tell of one.
func (w *webhookPlane) evaluate(t *testing.T, d *corpusRule, tc *corpusCase, r *rule.Rule) (answer, bool) {
	t.Helper()
	body, found := w.take(d, tc)
	if !found || slices.Contains(r.RequestOnly(), "authorizer") {
		return answer{}, false
	}
	q, _, err := webhook.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	in := rule.RequestInput{Request: q, Now: now}
	var labels map[string]string
	if q.Namespace != "" {
		namespace := w.server.namespaceContent(t, q.Namespace)
		in.Namespace, labels = namespace.Object, namespace.GetLabels()
	}
	if !r.MatchesRequest(q, labels) {
		return answer{verdict: allowed}, true
	}
	finding := r.EvaluateRequest(t.Context(), in)
	said := answer{verdict: allowed}
	if finding.Matched {
		said = answer{verdict: verdictOf(finding.Outcome).onServer(&d.Spec), message: others.ReplaceAllString(finding.Message, ""), reason: finding.Reason}
	}
	return said, true
}

// same has the webhook's evaluation say of a case what the API server says.
func (w *webhookPlane) same(t *testing.T, d *corpusRule, tc *corpusCase, r *rule.Rule) {
	t.Helper()
	got, found := w.evaluate(t, d, tc, r)
	if !found || strings.HasPrefix(d.Rule, "recovery") {
		return
	}
	w.mu.Lock()
	w.seen++
	w.mu.Unlock()
	if got.verdict == denies && tc.Want == denies && got.message == tc.Message {
		return // the first that is false
	}
	compare(t, "webhook", got, answer{verdict: tc.Server, message: tc.ServerMessage, reason: tc.Reason})
}

// enough says where too little was told for the comparison to mean anything.
func (w *webhookPlane) enough(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.Logf("the webhook was told of %d cases", w.seen); w.seen < minTold {
		t.Errorf("the webhook was told of %d cases, want %d", w.seen, minTold)
	}
}

// enforce has the API server ask the webhook about the rules that are for it.
func (w *webhookPlane) enforce(t *testing.T, documents map[string][]*corpusRule, compiled map[*corpusRule]*rule.Rule) {
	t.Helper()
	none, equivalent := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Equivalent
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "corpus"}}
	for _, of := range documents {
		for _, d := range of {
			if !d.Webhook || d.Invalid != "" {
				continue
			}
			if !policy.NeedsWebhook(compiled[d]) {
				t.Errorf("the API server could judge by %s", d.Rule)
			}
			w.give(t, d)
			w.engine.SetRule(d.key(), "uid", 1, &d.Spec)
			url, failure := w.address+policy.AdmitPath+policy.Group(compiled[d]), policy.EffectiveFailurePolicy(compiled[d])
			entry := admissionregistrationv1.ValidatingWebhook{
				Name: d.Rule + ".corpus.example.com", SideEffects: &none, FailurePolicy: &failure, AdmissionReviewVersions: []string{"v1"}, MatchPolicy: &equivalent,
				ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.bundle},
				NamespaceSelector: d.Spec.MatchConstraints.NamespaceSelector, ObjectSelector: d.Spec.MatchConstraints.ObjectSelector,
				MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "people", Expression: "!request.userInfo.username.startsWith('system:')"}},
			}
			if d.Kind == rule.KindRule {
				entry.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: d.Namespace}}
			}
			for _, named := range d.Spec.MatchConstraints.ResourceRules {
				entry.Rules = append(entry.Rules, named.RuleWithOperations)
			}
			config.Webhooks = append(config.Webhooks, entry)
		}
	}
	if err := w.server.system.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	w.await(t, "the webhook is synced", w.engine.Synced)
}

// adopt has the webhook judge by a rule, and what it refers to be there, until what is
// returned is called.
func (w *webhookPlane) adopt(t *testing.T, d *corpusRule) (end func()) {
	t.Helper()
	w.give(t, d)
	w.engine.SetRule(d.key(), "uid", 1, &d.Spec)
	w.await(t, d.Rule+" is in force", func() bool { return w.engine.InForce(d.key()) != nil && w.engine.Synced() })
	return func() {
		w.engine.RemoveRule(d.key())
		for _, given := range d.Given {
			if err := w.server.system.Delete(t.Context(), &unstructured.Unstructured{Object: given}); err != nil {
				t.Error(err)
			}
		}
	}
}

// review is what the webhook answers to a review.
func (w *webhookPlane) review(t *testing.T, d *corpusRule, r *rule.Rule, body []byte) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, policy.AdmitPath+policy.Group(r)+"?timeout=10s", bytes.NewReader(body)).WithContext(t.Context())
	w.engine.Handler(nil).ServeHTTP(recorder, req)
	said := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), &said); err != nil || said.Response == nil {
		t.Fatalf("the webhook answers %d: %s", recorder.Code, recorder.Body)
	}
	if said.Response.Allowed {
		return answer{verdict: allowed}
	}
	of := d.denial(said.Response.Result.Message, said.Response.Result.Reason)
	of.message = others.ReplaceAllString(of.message, "")
	return of
}

// give makes what a rule refers to.
func (w *webhookPlane) give(t *testing.T, d *corpusRule) {
	t.Helper()
	account := &corev1.ServiceAccount{}
	w.await(t, "there is a service account", func() bool {
		return w.server.system.Get(t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: "default"}, account) == nil
	})
	for _, given := range d.Given {
		obj := &unstructured.Unstructured{Object: integers(given)}
		if err := w.server.system.Create(t.Context(), obj); err != nil {
			t.Fatalf("make what %s refers to: %v", d.Rule, err)
		}
	}
}

// testWebhookCase asks until the answer is the one that is wanted: what is there
// before shows on a list, and the configuration to the API server, some time
// after it was stored.
func (s *apiServer) testWebhookCase(t *testing.T, d *corpusRule, tc *corpusCase, compiled *rule.Rule, line *commandLine) {
	t.Helper()
	want := answer{verdict: tc.Server, message: tc.ServerMessage, reason: tc.Reason}
	same := func(got answer) bool {
		return got.verdict == want.verdict && (want.verdict != denies || got.message == want.message && got.reason == want.reason)
	}
	got := s.ask(t, d, tc)
	for deadline := time.Now().Add(10 * time.Second); !same(got) && time.Now().Before(deadline); got = s.ask(t, d, tc) {
		time.Sleep(50 * time.Millisecond)
	}
	compare(t, "webhook", got, want)
	if tc.Old != nil {
		old := &unstructured.Unstructured{Object: integers(tc.Old)}
		if err := s.system.Delete(t.Context(), old, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	if tc.ServerOnly {
		return
	}
	want = answer{verdict: tc.Want, message: tc.Message, reason: tc.Reason}
	object := &unstructured.Unstructured{Object: integers(tc.Object)}
	stored := s.stored(t, object)
	compare(t, "audit", s.auditedWithRefs(t, d, compiled, stored), want)
	if !tc.Audited {
		compare(t, "command line", line.with(d.besides(object)).ask(t, object), want)
	}
}

// besides is what a document gives, without another content of the object.
func (d *corpusRule) besides(object *unstructured.Unstructured) []*unstructured.Unstructured {
	var besides []*unstructured.Unstructured
	for _, one := range d.Given {
		obj := &unstructured.Unstructured{Object: integers(one)}
		if obj.GroupVersionKind() != object.GroupVersionKind() || obj.GetName() != object.GetName() {
			besides = append(besides, obj)
		}
	}
	return besides
}

// given are lists of what a document gives, and of one object more.
type given []*unstructured.Unstructured

// List implements rule.Refs.
func (g given) List(ref rule.Reference, namespace string) (expr.List, error) {
	var of []*unstructured.Unstructured
	for _, obj := range g {
		if obj.GroupVersionKind() == ref.GVK {
			of = append(of, obj)
		}
	}
	return expr.NewList(rule.Contents(ref.Select(of, namespace))), nil
}

// auditedWithRefs is what the audit says of an object that is there beside what
// a document gives.
func (s *apiServer) auditedWithRefs(t *testing.T, d *corpusRule, r *rule.Rule, object *unstructured.Unstructured) answer {
	t.Helper()
	all := append(given{object}, d.besides(object)...)
	gvr, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	namespace := s.namespaceContent(t, d.Namespace)
	if !r.MatchesResource(gvr, true) || !r.MatchesObject(gvr, object, namespace.GetLabels()) {
		return answer{verdict: unmatched}
	}
	finding := r.Evaluate(t.Context(), rule.Input{Object: object, Resource: gvr, Namespace: namespace.Object, Refs: all, Now: now})
	if !finding.Matched && finding.Outcome == v1alpha1.Outcome("") {
		return answer{verdict: unmatched}
	}
	return answer{verdict: verdictOf(finding.Outcome), message: others.ReplaceAllString(finding.Message, ""), reason: finding.Reason}
}
