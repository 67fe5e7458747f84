package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// corpusUser may do everything, and is no part of the control plane.
const corpusUser = "corpus"

// apiServer is the plane that judges requests.
type apiServer struct {
	cluster *cluster.Cluster
	webhook *webhookPlane
	// system is the API server itself, which no policy judges.
	system client.Client
	owner  metav1.OwnerReference

	mu      sync.Mutex
	clients map[string]client.Client
	rounds  int
}

func startServer(t *testing.T, out io.Writer) *apiServer {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	if _, err := c.Kubectl(t.Context(), "apply", "--server-side", "-f", filepath.Join("testdata", "corpus", "setup")); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitDefinitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &apiServer{cluster: c, clients: map[string]client.Client{}}
	s.system = s.as(t, "system:apiserver", "system:masters")
	// What stands in for the definitions of rules: an owner that is there.
	definition := &unstructured.Unstructured{}
	definition.SetAPIVersion("apiextensions.k8s.io/v1")
	definition.SetKind("CustomResourceDefinition")
	if err := s.system.Get(t.Context(), client.ObjectKey{Name: "things." + corpusGroup}, definition); err != nil {
		t.Fatal(err)
	}
	s.owner = metav1.OwnerReference{APIVersion: definition.GetAPIVersion(), Kind: definition.GetKind(), Name: definition.GetName(), UID: definition.GetUID()}
	return s
}

// as is a client of a user.
func (s *apiServer) as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	who := user + " " + strings.Join(groups, " ")
	if c, ok := s.clients[who]; ok {
		return c
	}
	cfg, err := s.cluster.ConfigFor(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.clients[who] = c
	return c
}

func (s *apiServer) makeNamespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if err := s.system.Create(t.Context(), namespace); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
}

func (s *apiServer) namespaceContent(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	if err := s.system.Get(t.Context(), client.ObjectKey{Name: name}, namespace); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// enforce has rules enforced: their policies and bindings are applied as the
// controller does it. It returns when the API server judges by all of them,
// which a rule shows that is applied last. An API server hears of policies in
// the order in which they were written, and of bindings too. What was applied is
// returned.
func (s *apiServer) enforce(t *testing.T, rules []*rule.Rule) []client.Object {
	t.Helper()
	s.rounds++
	sentinel := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("sentinel-%d", s.rounds)},
	}
	last := clusterRule().MatchNamed("", "v1", "configmaps", sentinel.Name).Validate("false", sentinel.Name).Obj()
	last.Name = sentinel.Name
	var policies, bindings []client.Object
	for _, r := range append(append([]*rule.Rule{}, rules...), ofCluster(t, last)) {
		opts := options()
		opts.PolicyOwner, opts.BindingOwner = s.owner, s.owner
		objects, refusal := policy.Compile(r, opts)
		if refusal != nil {
			t.Fatalf("%s cannot be enforced: %v", r.Key(), refusal)
		}
		for _, p := range objects.Policies {
			policies = append(policies, p)
		}
		for _, b := range objects.Bindings {
			bindings = append(bindings, b)
		}
	}
	all := append(policies, bindings...)
	for _, obj := range all {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			t.Fatal(err)
		}
		delete(content, "status")
		applied := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content})
		if err := s.system.Apply(t.Context(), applied, client.FieldOwner("mainstay")); err != nil {
			t.Fatalf("apply %T %s: %v", obj, obj.GetName(), err)
		}
	}
	s.await(t, sentinel)
	return all
}

// await waits until a request is denied.
func (s *apiServer) await(t *testing.T, obj client.Object) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := s.as(t, corpusUser).Create(ctx, obj.DeepCopyObject().(client.Object), client.DryRunAll)
		if err != nil && strings.Contains(err.Error(), "denied request") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the API server does not judge by what was applied last: %v", err)
		case <-ticker.C:
		}
	}
}

// ask makes the request of a case, without effect.
func (s *apiServer) ask(t *testing.T, d *corpusRule, tc *corpusCase) answer {
	t.Helper()
	user := tc.User
	if user == "" {
		user = corpusUser
	}
	asking := s.as(t, user, tc.Groups...)
	object := &unstructured.Unstructured{Object: integers(tc.Object)}
	if tc.Old != nil {
		old := &unstructured.Unstructured{Object: integers(tc.Old)}
		if err := s.system.Create(t.Context(), old); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("make what is there before: %v", err)
		}
		if err := s.system.Get(t.Context(), client.ObjectKeyFromObject(old), old); err != nil {
			t.Fatal(err)
		}
		switch {
		case tc.Evict:
			eviction := subresource("policy/v1", "Eviction", old)
			return answerOf(t, d, asking.SubResource("eviction").Create(t.Context(), old, eviction, client.DryRunAll))
		case tc.Bind != "":
			binding := subresource("v1", "Binding", old)
			binding.Object["target"] = map[string]any{"kind": "Node", "name": tc.Bind}
			return answerOf(t, d, asking.SubResource("binding").Create(t.Context(), old, binding, client.DryRunAll))
		case tc.Scale != nil:
			scale := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "autoscaling/v1", "kind": "Scale",
				"metadata": map[string]any{"name": old.GetName(), "namespace": old.GetNamespace()},
				"spec":     map[string]any{"replicas": int64(*tc.Scale)},
			}}
			err := asking.SubResource("scale").Update(t.Context(), old, client.WithSubResourceBody(scale), client.DryRunAll)
			return answerOf(t, d, err)
		case tc.Operation == "DELETE":
			return answerOf(t, d, asking.Delete(t.Context(), old, client.DryRunAll))
		}
		object.SetResourceVersion(old.GetResourceVersion())
		return answerOf(t, d, asking.Update(t.Context(), object, client.DryRunAll))
	}
	return answerOf(t, d, asking.Create(t.Context(), object, client.DryRunAll))
}

// subresource is an object that is written to one of another object's.
func subresource(apiVersion, kind string, of *unstructured.Unstructured) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": of.GetName(), "namespace": of.GetNamespace()},
	}}
}

// stored is an object as it is after the API server's defaults.
func (s *apiServer) stored(t *testing.T, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	stored := object.DeepCopy()
	if stored.GetName() != "" {
		// What is there already is judged with its other content.
		if err := s.system.Create(t.Context(), stored, client.DryRunAll); apierrors.IsAlreadyExists(err) {
			stored.SetResourceVersion("")
			live := object.DeepCopy()
			if err := s.system.Get(t.Context(), client.ObjectKeyFromObject(object), live); err != nil {
				t.Fatal(err)
			}
			stored = object.DeepCopy()
			stored.SetResourceVersion(live.GetResourceVersion())
			if err := s.system.Update(t.Context(), stored, client.DryRunAll); err != nil {
				t.Fatalf("have the API server's defaults: %v", err)
			}
		} else if err != nil {
			t.Fatalf("have the API server's defaults: %v", err)
		}
	}
	return stored
}

// answerOf is what an API server says.
func answerOf(t *testing.T, d *corpusRule, err error) answer {
	t.Helper()
	if err == nil {
		return answer{verdict: allowed}
	}
	var status apierrors.APIStatus
	_, message, found := strings.Cut(err.Error(), " denied request: ")
	if d.Webhook {
		_, message, found = strings.Cut(err.Error(), " denied the request: ")
	}
	if !errors.As(err, &status) || !found {
		t.Fatalf("the request fails for another reason: %v", err)
	}
	if name := d.Rule; !strings.Contains(err.Error(), name) {
		t.Fatalf("another rule than %s denies: %v", name, err)
	}
	return d.denial(message, status.Status().Reason)
}

// denial is an answer by the words in which a request is denied.
func (d *corpusRule) denial(message string, reason metav1.StatusReason) answer {
	before, after := "ClusterRule "+d.Rule+": ", " (kubectl describe clusterrule "+d.Rule+")"
	if d.Kind == rule.KindRule {
		before, after = "Rule "+d.Namespace+"/"+d.Rule+": ", " (kubectl -n "+d.Namespace+" describe mrule "+d.Rule+")"
	}
	text, starts := strings.CutPrefix(message, before)
	text, ends := strings.CutSuffix(text, after)
	if failed := "the rule could not be evaluated: "; !starts || !ends || strings.HasPrefix(text, failed) {
		return answer{verdict: erroneous, message: message}
	}
	return answer{verdict: denies, message: text, reason: reason}
}

// testInvalid has a spec refused by the compiler and by the API server.
func (s *apiServer) testInvalid(t *testing.T, compiler *expr.Compiler, d *corpusRule) {
	t.Helper()
	_, errs := rule.Compile(compiler, d.key(), 1, &d.Spec)
	if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), d.Invalid) {
		t.Errorf("compiling says %v, want … %s …", errs, d.Invalid)
	}
	constraints := admissionregistrationv1.MatchResources{ResourceRules: d.Spec.MatchConstraints.ResourceRules}
	err := s.system.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: d.Rule},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &constraints, MatchConditions: d.Spec.MatchConditions,
			Variables: d.Spec.Variables, Validations: d.Spec.Validations,
		},
	}, client.DryRunAll)
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), d.Invalid) {
		t.Errorf("the API server says %v, want … %s …", err, d.Invalid)
	}
}
