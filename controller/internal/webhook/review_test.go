package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

const (
	deny   = admissionregistrationv1.Deny
	warn   = admissionregistrationv1.Warn
	audit  = admissionregistrationv1.Audit
	ignore = admissionregistrationv1.Ignore
)

// few allows n pods.
func few(name string, n int) *builders.ClusterRuleBuilder {
	return podRule(name).Validate(fmt.Sprintf("refs.pods.size() <= %d", n), "too many")
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules []*v1alpha1.ClusterRule
		want  string
	}{
		"holds":            {[]*v1alpha1.ClusterRule{few("a", 2).Obj()}, "allowed"},
		"does not hold":    {[]*v1alpha1.ClusterRule{few("a", 1).Obj()}, "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"},
		"with a reason":    {[]*v1alpha1.ClusterRule{few("a", 1).Reason(metav1.StatusReasonForbidden).Obj()}, "403 Forbidden: ClusterRule a: too many (kubectl describe clusterrule a)"},
		"too large":        {[]*v1alpha1.ClusterRule{few("a", 1).Reason(metav1.StatusReasonRequestEntityTooLarge).Obj()}, "413 RequestEntityTooLarge: ClusterRule a: too many (kubectl describe clusterrule a)"},
		"two deny":         {[]*v1alpha1.ClusterRule{few("b", 1).Obj(), few("a", 0).Obj()}, "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a); 1 more rule denies it"},
		"three deny":       {[]*v1alpha1.ClusterRule{few("b", 1).Obj(), few("a", 0).Obj(), few("c", 0).Obj()}, "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a); 2 more rules deny it"},
		"one of two":       {[]*v1alpha1.ClusterRule{few("b", 1).Obj(), few("a", 9).Obj()}, "422 Invalid: ClusterRule b: too many (kubectl describe clusterrule b)"},
		"warns":            {[]*v1alpha1.ClusterRule{few("a", 1).Actions(warn).Obj()}, "allowed: ClusterRule a: too many (kubectl describe clusterrule a)"},
		"not about it":     {[]*v1alpha1.ClusterRule{few("a", 0).Condition("no", "object.metadata.name == 'x'").Obj()}, "allowed"},
		"an exception":     {[]*v1alpha1.ClusterRule{few("a", 0).Except("shop", "web-1", "known").Obj()}, "allowed"},
		"a lapsed one":     {[]*v1alpha1.ClusterRule{few("a", 0).Except("shop", "web-1", "known").Until(testNow).Obj()}, "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"},
		"who asks":         {[]*v1alpha1.ClusterRule{few("a", 9).Validate("request.userInfo.username != 'jane' && !request.dryRun", "not jane").Obj()}, "422 Invalid: ClusterRule a: not jane (kubectl describe clusterrule a)"},
		"fails":            {[]*v1alpha1.ClusterRule{few("a", 9).Validate("object.spec.none == refs.pods.size()", "").Obj()}, "422 Invalid: ClusterRule a: the rule could not be evaluated: spec.validations[1].expression: no such key: none (kubectl describe clusterrule a)"},
		"fails, ignored":   {[]*v1alpha1.ClusterRule{few("a", 9).FailurePolicy(ignore).Validate("object.spec.none == 1", "").Obj()}, "allowed: ClusterRule a: the rule could not be evaluated: spec.validations[1].expression: no such key: none (kubectl describe clusterrule a)"},
		"fails and warns":  {[]*v1alpha1.ClusterRule{few("a", 9).Actions(warn).Validate("object.spec.none == 1", "").Obj()}, "allowed: ClusterRule a: the rule could not be evaluated: spec.validations[1].expression: no such key: none (kubectl describe clusterrule a)"},
		"out of budget":    {[]*v1alpha1.ClusterRule{few("a", 9).Validate("[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, [0,1,2,3,4,5,6,7,8,9].all(g, a + b + c + d + e + f + g >= 0)))))))", "").Obj()}, "422 Invalid: ClusterRule a: the rule could not be evaluated: spec.validations[1].expression: out of cost budget: the limit of 1000000 for one expression was exceeded (kubectl describe clusterrule a)"},
		"kind not served":  {[]*v1alpha1.ClusterRule{podRule("a").Refer("x", "example.com/v1", "X").Validate("refs.x.size() == 0", "").Obj()}, "500 InternalError: ClusterRule a: the rule could not be evaluated: spec.validations[0].expression: listing refs.x: refs.x refers to kind X of example.com/v1, which the API server does not serve (kubectl describe clusterrule a)"},
		"that, not needed": {[]*v1alpha1.ClusterRule{podRule("a").Refer("x", "example.com/v1", "X").Validate("object.metadata.name == 'web-1' || refs.x.size() == 0", "").Obj()}, "allowed"},
		"that, ignored":    {[]*v1alpha1.ClusterRule{podRule("a").Refer("x", "example.com/v1", "X").FailurePolicy(ignore).Validate("refs.x.size() == 0", "").Obj()}, "allowed: ClusterRule a: the rule could not be evaluated: spec.validations[0].expression: listing refs.x: refs.x refers to kind X of example.com/v1, which the API server does not serve (kubectl describe clusterrule a)"},
		"no Namespace":     {[]*v1alpha1.ClusterRule{few("a", 9).Validate("namespaceObject.metadata.name == 'shop'", "").Obj()}, "500 InternalError: ClusterRule a: the rule could not be evaluated: the Namespace shop is not known yet (kubectl describe clusterrule a)"},
		"suspended":        {[]*v1alpha1.ClusterRule{few("a", 0).Suspend().Obj()}, "allowed"},
		"not for requests": {[]*v1alpha1.ClusterRule{few("a", 0).Modes(v1alpha1.ModeAudit).Obj()}, "allowed"},
		"for the server":   {[]*v1alpha1.ClusterRule{podRule("a").Validate("false", "").Obj()}, "allowed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := newFakeObjects()
			objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "web"))
			f := start(t, objects, tc.rules...)
			if got := f.says(t, tc.rules[0], aPod); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if f.observed.all != 1 || f.observed.owns != 0 {
				t.Errorf("observed %d, %d of them for a reason of its own", f.observed.all, f.observed.owns)
			}
		})
	}
}

// TestSelectedNamespaces has a rule ask what the API server knows better where
// the Namespace has not been read.
func TestSelectedNamespaces(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.set(namespaces, "", "shop", namespace("shop", map[string]any{"team": "a"}))
	r := few("a", 0).NamespaceLabels("team", "a").Validate("namespaceObject.metadata.labels.team == 'a'", "").Obj()
	f := start(t, objects, r)
	if got, want := f.says(t, r, aPod), "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	objects.set(namespaces, "", "shop", namespace("shop", map[string]any{"team": "b"}))
	f.await(t, "not selected", func() bool { return f.says(t, r, aPod) == "allowed" })
	objects.set(namespaces, "", "shop", nil)
	f.await(t, "judged again", func() bool { return strings.HasPrefix(f.says(t, r, aPod), "500 InternalError") })
}

// brokenClock has the program fail where nobody expects it.
type brokenClock struct {
	clock.PassiveClock
	broken atomic.Bool
}

func (c *brokenClock) Now() time.Time {
	if c.broken.Load() {
		panic("the clock broke")
	}
	return c.PassiveClock.Now()
}

// A fault of the program is the answer of one review, which the API server handles as the
// rule's failurePolicy says, and a reason of the replica's own.
func TestFaultFailsOneReview(t *testing.T) {
	t.Parallel()
	f := newEngine(t, newFakeObjects())
	broken := &brokenClock{PassiveClock: f.passive}
	f.clock = broken
	r := few("a", 0).Obj()
	f.set(r)
	f.run(t)
	const denied = "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"
	f.await(t, "judged", func() bool { return f.says(t, r, aPod) == denied })
	owns := f.observed.owns
	broken.broken.Store(true)
	if got := f.says(t, r, aPod); got != "HTTP 500" {
		t.Error(got)
	}
	broken.broken.Store(false)
	if got := f.says(t, r, aPod); got != denied {
		t.Error(got)
	}
	if got := f.observed.owns - owns; got != 1 {
		t.Errorf("%d reviews failed for a reason of the replica's own, want 1", got)
	}
}

func TestBeforeItIsSynced(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.states[podsGVR] = informer.State{Phase: informer.Syncing, Message: "listing pods"}
	denying, ignoring := few("a", 9).Obj(), few("b", 9).FailurePolicy(ignore).Obj()
	f := newEngine(t, objects)
	if got := f.says(t, denying, aPod); got != "HTTP 500" {
		t.Errorf("a group that is not known: %s", got)
	}
	late := rule.Key{Kind: rule.KindClusterRule, Name: "late"}
	f.Expect([]rule.Key{{Kind: rule.KindClusterRule, Name: "a"}, late})
	f.set(denying)
	f.set(ignoring)
	f.run(t)
	const failed = "the rule could not be evaluated: this replica has not read yet what its rules refer to"
	f.await(t, "known", func() bool {
		return f.says(t, denying, aPod) == "500 InternalError: ClusterRule a: "+failed+" (kubectl describe clusterrule a)"
	})
	f.await(t, "known", func() bool {
		return f.says(t, ignoring, aPod) == "allowed: ClusterRule b: "+failed+" (kubectl describe clusterrule b)"
	})
	if f.observed.owns != f.observed.all {
		t.Errorf("observed %d, %d of them for a reason of its own", f.observed.all, f.observed.owns)
	}
	objects.setState(podsGVR, informer.State{Phase: informer.Synced})
	if f.Synced() {
		t.Error("synced before an expected rule was seen")
	}
	f.RemoveRule(late)
	f.await(t, "synced", f.Synced)
	if got := f.says(t, denying, aPod); got != "allowed" {
		t.Error(got)
	}
	// Afterwards a kind that cannot be read is that rule's own error.
	objects.setState(podsGVR, informer.State{Phase: informer.Forbidden, Message: "may not list pods"})
	f.await(t, "forbidden", func() bool { return strings.Contains(f.says(t, denying, aPod), "listing refs.pods: may not list pods") })
	// A group whose rules are gone has nothing against anything, nor have others.
	f.RemoveRule(rule.Key{Kind: rule.KindClusterRule, Name: "a"})
	f.RemoveRule(rule.Key{Kind: rule.KindClusterRule, Name: "b"})
	f.await(t, "gone", func() bool { return f.says(t, denying, aPod) == "allowed" })
}

// TestWithoutRules has a replica of a cluster without rules be ready once it is known what the
// API server serves, however long after its first look that is.
func TestWithoutRules(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	served := objects.served
	objects.served = nil
	f := newEngine(t, objects)
	f.Expect(nil)
	f.run(t)
	f.await(t, "a look", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return !f.changes.rules
	})
	objects.mu.Lock()
	objects.served = served
	objects.mu.Unlock()
	f.ResourcesChanged()
	f.await(t, "ready", f.ready.Load)
}

// TestExpectedAgain has a rule that is gone before it was seen be waited for no longer than
// until somebody looks again, and one that there still is as before.
func TestExpectedAgain(t *testing.T) {
	t.Parallel()
	f := newEngine(t, newFakeObjects())
	a, gone := rule.Key{Kind: rule.KindClusterRule, Name: "a"}, rule.Key{Kind: rule.KindClusterRule, Name: "gone"}
	f.RemoveRule(gone) // before it is expected
	f.Expect([]rule.Key{a, gone})
	f.run(t)
	f.set(few("a", 0).Obj())
	f.await(t, "seen", func() bool { return f.InForce(a) != nil })
	if !f.Expects() || f.Synced() || f.ready.Load() {
		t.Error("synced before an expected rule was seen")
	}
	f.Expect([]rule.Key{a})
	f.await(t, "synced", func() bool { return !f.Expects() && f.Synced() && f.ready.Load() })
}

// TestOneKindThatCannotBeRead has the rules that refer to others judge.
func TestOneKindThatCannotBeRead(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.states[deploymentsGVR] = informer.State{Phase: informer.Syncing, Message: "list deployments.apps: no route to host"}
	whole, broken := few("a", 0).Obj(), podRule("b").FailurePolicy(ignore).Refer("ds", "apps/v1", "Deployment").Validate("refs.ds.size() == 0", "").Obj()
	f := newEngine(t, objects)
	f.set(whole)
	f.set(broken)
	f.Expect([]rule.Key{{Kind: rule.KindClusterRule, Name: "a"}, {Kind: rule.KindClusterRule, Name: "b"}})
	f.run(t)
	f.await(t, "judged", func() bool {
		return f.says(t, whole, aPod) == "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"
	})
	if got := f.says(t, broken, aPod); !strings.Contains(got, "no route to host") {
		t.Error(got)
	}
	if f.Synced() {
		t.Error("it is synced")
	}
}

// TestKindThatComesBack has a list made again although nobody told of objects.
func TestKindThatComesBack(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "web"))
	r := few("a", 1).Obj()
	f := start(t, objects, r)
	objects.mu.Lock()
	clear(objects.objects[podsGVR])
	objects.mu.Unlock()
	if got := f.says(t, r, aPod); got == "allowed" {
		t.Error("the list was read for a request")
	}
	f.StateChanged(podsGVR)
	f.await(t, "allowed", func() bool { return f.says(t, r, aPod) == "allowed" })
}

// TestGenerations has a slip in an edit open no gate.
func TestGenerations(t *testing.T) {
	t.Parallel()
	r := few("a", 0).Obj()
	f := start(t, newFakeObjects(), r)
	edit := func(generation int64, change func(*v1alpha1.ClusterRule)) {
		edited := r.DeepCopy()
		edited.Generation = generation
		change(edited)
		f.set(edited)
	}
	denied := func(message string) func() bool {
		return func() bool { return strings.Contains(f.says(t, r, aPod), message) }
	}
	edit(2, func(r *v1alpha1.ClusterRule) { r.Spec.Validations[0].Message = "second" })
	f.await(t, "by the second generation", denied("second"))
	edit(3, func(r *v1alpha1.ClusterRule) { r.Spec.Validations[0].Expression = "1 +" })
	f.await(t, "seen", func() bool {
		a := f.current.Load().rules[rule.Key{Kind: rule.KindClusterRule, Name: "a"}]
		return a != nil && a.generation == 3
	})
	if got := f.says(t, r, aPod); !strings.Contains(got, "second") {
		t.Errorf("a generation that does not compile: %s", got)
	}
	// The API server goes on asking as it is configured.
	edit(10, func(r *v1alpha1.ClusterRule) {
		r.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		r.Spec.Validations[0].Message = "tenth"
	})
	f.await(t, "by the tenth generation", denied("tenth"))
	edit(11, func(r *v1alpha1.ClusterRule) {
		r.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	})
	f.await(t, "not selected", func() bool { return f.says(t, r, aPod) == "allowed" })
	if left := f.current.Load().groups[groupOf(t, r)]; len(left) != 1 {
		t.Errorf("%d rules in the group that it left", len(left))
	}
	edit(4, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	f.await(t, "suspended", func() bool { return f.says(t, r, aPod) == "allowed" })
	edit(5, func(r *v1alpha1.ClusterRule) { r.Spec.Validations[0].Message = "fifth" })
	f.await(t, "by the fifth generation", denied("fifth"))
}

func TestWhatIsWanted(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	r := podRule("a").Validate("refs.pods.all(p, p.spec.nodeName != '') && namespaceObject.metadata.name != ''", "").Obj()
	f := start(t, objects, r)
	consumer := Consumer(f.InForce(rule.Key{Kind: rule.KindClusterRule, Name: "a"}))
	wants := objects.wants[consumer]
	if diff := cmp.Diff([]string{".spec.nodeName"}, wants[podsGVR].Paths()); diff != "" || !wants[namespaces].All() || len(wants) != 2 {
		t.Errorf("wants %v: %s", wants, diff)
	}
	f.RemoveRule(rule.Key{Kind: rule.KindClusterRule, Name: "a"})
	if wants := objects.wants[consumer]; len(wants) > 0 {
		t.Errorf("wants %v of a rule that is gone", wants)
	}
}

// TestListsAreMadeBeforehand has no list read for a request.
func TestListsAreMadeBeforehand(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	r := few("a", 1).Obj()
	f := start(t, objects, r, few("b", 100).Obj())
	objects.mu.Lock()
	before := objects.listed
	objects.mu.Unlock()
	for range 10 {
		if got := f.says(t, r, aPod); got != "allowed" {
			t.Fatal(got)
		}
	}
	objects.mu.Lock()
	after := objects.listed
	objects.mu.Unlock()
	if after != before {
		t.Errorf("%d lists were read for requests", after-before)
	}
	if len(f.sources) != 1 {
		t.Errorf("%d sources of two rules that refer to the same", len(f.sources))
	}
	objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "web"))
	f.await(t, "denied", func() bool { return f.says(t, r, aPod) != "allowed" })
	objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "db"))
	f.await(t, "allowed", func() bool { return f.says(t, r, aPod) == "allowed" })
	objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "web"))
	f.await(t, "denied", func() bool { return f.says(t, r, aPod) != "allowed" })
	objects.set(podsGVR, "shop", "web-2", nil)
	f.await(t, "allowed", func() bool { return f.says(t, r, aPod) == "allowed" })
}

func TestWarningsAndAuditAnnotations(t *testing.T) {
	t.Parallel()
	var rules []*v1alpha1.ClusterRule
	for i := range 40 {
		rules = append(rules, podRule(fmt.Sprintf("warn-%02d", i)).Actions(warn, audit).Validate("refs.pods.size() < 0", strings.Repeat("ä", 500)).Obj())
	}
	f := start(t, newFakeObjects(), rules...)
	_, response := f.ask(t, policy.AdmitPath+groupOf(t, rules[0]), review(t, aPod))
	total := 0
	for _, text := range response.Warnings {
		if total += len(text); len(text) > maxWarning || !strings.HasSuffix(text, "kubectl describe clusterrule "+fmt.Sprintf("warn-%02d)", 0)) && text == response.Warnings[0] {
			t.Errorf("warning of %d bytes: %s", len(text), text)
		}
	}
	if !response.Allowed || len(response.Warnings) != maxWarnings || total > 4096 || response.Warnings[maxWarnings-1] != "25 more rules of Mainstay warn" {
		t.Errorf("%d warnings of %d bytes, the last: %s", len(response.Warnings), total, response.Warnings[maxWarnings-1])
	}
	var audited []map[string]any
	if err := json.Unmarshal([]byte(response.AuditAnnotations[auditKey]), &audited); err != nil || len(audited) != maxAudited {
		t.Fatalf("%d audited: %v", len(audited), err)
	}
	want := map[string]any{
		"message": audited[0]["message"], "policy": "ClusterRule/warn-00", "binding": "ClusterRule/warn-00",
		"expressionIndex": 0.0, "validationActions": []any{"Warn", "Audit"},
	}
	if diff := cmp.Diff(want, audited[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReviewsThatAreNone(t *testing.T) {
	t.Parallel()
	f := start(t, newFakeObjects(), few("a", 0).Obj())
	group := policy.AdmitPath + groupOf(t, few("a", 0).Obj())
	good := review(t, aPod)
	tests := map[string]struct {
		path string
		body []byte
		want int
	}{
		"not JSON":         {group, []byte("no"), http.StatusBadRequest},
		"not UTF-8":        {group, []byte("{\"a\": \"\xff\"}"), http.StatusBadRequest},
		"another kind":     {group, []byte(`{"apiVersion": "v1", "kind": "Pod"}`), http.StatusBadRequest},
		"no request":       {group, []byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`), http.StatusBadRequest},
		"another version":  {group, []byte(strings.Replace(string(good), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1)), http.StatusBadRequest},
		"too large":        {group, []byte(strings.Replace(string(good), `"uid"`, `"x": "`+strings.Repeat("x", maxBody)+`", "uid"`, 1)), http.StatusRequestEntityTooLarge},
		"a long kind":      {group, []byte(strings.Replace(string(good), `"AdmissionReview"`, `"`+strings.Repeat("x", 1<<20)+`"`, 1)), http.StatusBadRequest},
		"a long uid":       {group, []byte(strings.Replace(string(good), `"uid":"`, `"uid":"`+strings.Repeat("x", 1<<20), 1)), http.StatusBadRequest},
		"a long number":    {group, []byte(`{"a": 1` + strings.Repeat("0", 1<<20) + `.0}`), http.StatusBadRequest},
		"no group":         {policy.AdmitPath, good, http.StatusNotFound},
		"another path":     {"/other/x", good, http.StatusNotFound},
		"below a group":    {group + "/x", good, http.StatusNotFound},
		"another group":    {policy.AdmitPath + "fail-0000000000000000", good, http.StatusOK},
		"the group itself": {group, good, http.StatusOK},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := httptest.NewRecorder()
			f.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, tc.path, bytes.NewReader(tc.body)))
			if recorder.Code != tc.want || recorder.Body.Len() > 1024 {
				t.Errorf("HTTP %d with %d bytes, want %d with few", recorder.Code, recorder.Body.Len(), tc.want)
			}
		})
	}
}

// TestErrorsOfTenantsShowNothing has a Rule whose expression fails on what it refers to: CEL
// quotes that, and who asks may not read it.
func TestErrorsOfTenantsShowNothing(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.set(podsGVR, "shop", "hidden", pod("shop", "hidden", "web"))
	tenants := builders.MakeRule("shop", "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Refer("pods", "v1", "Pod").
		Validate("{'a': true}[refs.pods[0].metadata.name]", "").Obj()
	f := newEngine(t, objects)
	key := rule.Key{Kind: rule.KindRule, Namespace: "shop", Name: "a"}
	f.SetRule(key, "uid", 1, &tenants.Spec)
	f.run(t)
	f.await(t, "synced", f.Synced)
	_, response := f.ask(t, policy.AdmitPath+policy.Group(f.InForce(key)), review(t, aPod))
	if response.Allowed || strings.Contains(response.Result.Message, "hidden") || !strings.Contains(response.Result.Message, "(validations[0])") {
		t.Errorf("%+v", response)
	}
}

// TestSlowRulesAreNotTheReplicas has rules that take all the time that there is: they would
// on any other replica, so that all would be out of the Service for them.
func TestSlowRulesAreNotTheReplicas(t *testing.T) {
	t.Parallel()
	numbers := "[1,2,3,4,5,6,7,8,9,10]"
	var slow []*v1alpha1.ClusterRule
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		builder := builders.MakeClusterRule(name).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Refer("pods", "v1", "Pod")
		for range 16 {
			builder.Validate("refs.pods.size() >= 0 && "+strings.Repeat(numbers+".all(x, ", 5)+"true"+strings.Repeat(")", 5), "")
		}
		slow = append(slow, builder.Obj())
	}
	f := start(t, newFakeObjects(), slow...)
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, policy.AdmitPath+groupOf(t, slow[0])+"?timeout=1s", strings.NewReader(string(review(t, aPod)))))
	if body := recorder.Body.String(); !strings.Contains(body, "context deadline exceeded") {
		t.Errorf("HTTP %d: %s", recorder.Code, body)
	}
	if f.observed.all != 1 || f.observed.owns != 0 {
		t.Errorf("observed %d, %d of them for a reason of its own", f.observed.all, f.observed.owns)
	}
}

// TestOutOfTime has a context that ends before any rule be the replica's own failure, and
// the rule's failurePolicy decide.
func TestOutOfTime(t *testing.T) {
	t.Parallel()
	r := few("a", 9).Obj()
	f := start(t, newFakeObjects(), r)
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, policy.AdmitPath+groupOf(t, r), strings.NewReader(string(review(t, aPod)))).WithContext(ctx)
	f.handler.ServeHTTP(recorder, request)
	if body := recorder.Body.String(); recorder.Code != http.StatusOK || !strings.Contains(body, `"code":500`) || !strings.Contains(body, "context deadline exceeded") {
		t.Errorf("HTTP %d: %s", recorder.Code, body)
	}
	if f.observed.owns != 1 {
		t.Error("that was not observed as the replica's own")
	}
}

// TestOthersTimeout has nobody make a replica late by a timeout that no API server has.
func TestOthersTimeout(t *testing.T) {
	t.Parallel()
	r := few("a", 9).Obj()
	f := start(t, newFakeObjects(), r)
	for _, timeout := range []string{"1ns", "0s", "-5s", "999ms", "1000h", "x", ""} {
		if code, response := f.ask(t, policy.AdmitPath+groupOf(t, r)+"?timeout="+timeout, review(t, aPod)); code != http.StatusOK || !response.Allowed {
			t.Errorf("timeout=%s: HTTP %d, %+v", timeout, code, response)
		}
	}
	if f.observed.owns != 0 {
		t.Errorf("%d of %d were observed as the replica's own failures", f.observed.owns, f.observed.all)
	}
}

// TestLateSender has nobody make a replica late who sends the last byte of a review when its
// time is nearly over; that a replica has no time for one that it had in time is its own.
func TestLateSender(t *testing.T) {
	t.Parallel()
	r := few("a", 9).Obj()
	f := start(t, newFakeObjects(), r)
	for left, want := range map[time.Duration]bool{0: false, 50 * time.Millisecond: false, 900 * time.Millisecond: false, time.Second: true, 2700 * time.Millisecond: true} {
		over := time.Now().Add(-time.Millisecond)
		if got := f.review(t.Context(), groupOf(t, r), review(t, aPod), over.Add(-left), over).own; got != want {
			t.Errorf("out of time with a review that had %s left: its own failure %v, want %v", left, got, want)
		}
	}
}

// TestOwnReviewIsNotCounted has what a replica asks itself be in no metric: it is asked more
// often than others ask, where those are few. Nobody else is judged there.
func TestOwnReviewIsNotCounted(t *testing.T) {
	t.Parallel()
	f := start(t, newFakeObjects(), few("a", 0).Obj())
	if code, response := f.ask(t, health.PathSelfReview, review(t, aPod)); code != http.StatusOK || !response.Allowed {
		t.Errorf("HTTP %d, %+v", code, response)
	}
	var counted dto.Metric
	if err := f.metrics.ReviewSeconds.Write(&counted); err != nil {
		t.Fatal(err)
	}
	if n := counted.GetHistogram().GetSampleCount(); n != 0 || f.observed.all != 0 {
		t.Errorf("counted %d times, observed %d times", n, f.observed.all)
	}
}

// TestOwnKinds has no rule about Mainstay's kinds keep anybody from mending it.
func TestOwnKinds(t *testing.T) {
	t.Parallel()
	r := builders.MakeClusterRule("a").Modes(v1alpha1.ModeAdmission).Match("*", "*", "*").Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 0", "").Obj()
	f := start(t, newFakeObjects(), r)
	if got := f.says(t, r, aPod); got == "allowed" {
		t.Error(got)
	}
	if got := f.says(t, r, "{namespace: '', resource: {group: mainstay.dev, version: v1alpha1, resource: clusterrules}, object: {}}"); got != "allowed" {
		t.Error(got)
	}
}

func TestReviewMetrics(t *testing.T) {
	t.Parallel()
	r, broken := few("a", 1).Obj(), podRule("b").FailurePolicy(ignore).Validate("object.spec.none == refs.pods.size()", "").Obj()
	f := start(t, newFakeObjects(), r, broken)
	f.says(t, r, aPod)
	f.says(t, broken, aPod)
	f.ask(t, policy.AdmitPath+groupOf(t, r), []byte("no"))
	f.objects.set(podsGVR, "shop", "web-2", pod("shop", "web-2", "web"))
	f.await(t, "denied", func() bool { return f.says(t, r, aPod) != "allowed" })
	read := func(m prometheus.Metric) *dto.Metric {
		out := &dto.Metric{}
		if err := m.Write(out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	denied, failed := read(f.metrics.Reviews.WithLabelValues("denied")), read(f.metrics.Reviews.WithLabelValues("error"))
	timed := read(f.metrics.ReviewSeconds)
	if denied.GetCounter().GetValue() != 1 || failed.GetCounter().GetValue() != 2 || timed.GetHistogram().GetSampleCount() < 4 {
		t.Errorf("denied %v, failed %v, timed %v", denied, failed, timed)
	}
}

// slow gives a body after a while.
type slow struct {
	io.Reader

	after time.Duration
	once  sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	s.once.Do(func() { <-time.After(s.after) })
	return s.Reader.Read(p)
}

// TestOnlyWhatWasReadIsTimed has the wait for a body count for nothing, and a body that
// cannot be read be an error of nobody's but the caller's.
func TestOnlyWhatWasReadIsTimed(t *testing.T) {
	t.Parallel()
	r := few("a", 9).Obj()
	f := start(t, newFakeObjects(), r)
	ask := func(body io.Reader) int {
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, policy.AdmitPath+groupOf(t, r), body))
		return recorder.Code
	}
	timed := func() *dto.Histogram {
		out := &dto.Metric{}
		if err := f.metrics.ReviewSeconds.Write(out); err != nil {
			t.Fatal(err)
		}
		return out.GetHistogram()
	}
	told := func() int {
		f.observed.mu.Lock()
		defer f.observed.mu.Unlock()
		return f.observed.all
	}
	const wait = 2 * time.Second
	before, known := timed(), told()
	if code := ask(&slow{Reader: bytes.NewReader(review(t, aPod)), after: wait}); code != http.StatusOK {
		t.Errorf("HTTP %d of a slow body", code)
	}
	after := timed()
	if n, took := after.GetSampleCount()-before.GetSampleCount(), after.GetSampleSum()-before.GetSampleSum(); n != 1 || took >= wait.Seconds() {
		t.Errorf("a body that takes %s is timed %d times with %.1f s", wait, n, took)
	}
	if code := ask(io.MultiReader(bytes.NewReader(review(t, aPod)), iotest.ErrReader(io.ErrUnexpectedEOF))); code != http.StatusBadRequest {
		t.Errorf("HTTP %d of half a body", code)
	}
	if n := timed().GetSampleCount() - after.GetSampleCount(); n != 0 {
		t.Errorf("half a body is timed %d times", n)
	}
	if got := told() - known; got != 1 {
		t.Errorf("the observer was told %d times, want once", got)
	}
}

// TestGroupsAreThoseOfThePolicies has a rule found below its own group alone.
func TestGroupsAreThoseOfThePolicies(t *testing.T) {
	t.Parallel()
	denying, warning := few("a", 0).Obj(), few("b", 0).Actions(warn).Obj()
	f := start(t, newFakeObjects(), denying, warning)
	if got := f.says(t, denying, aPod); strings.Contains(got, "ClusterRule b") || !strings.Contains(got, "ClusterRule a") {
		t.Error(got)
	}
	for group, of := range f.current.Load().groups {
		for _, a := range of {
			if policy.Group(a.rule) != group {
				t.Errorf("%s is in the group %s", a.key, group)
			}
		}
	}
	_ = deny
}
