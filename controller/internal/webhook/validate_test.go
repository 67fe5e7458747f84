package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	raw := func(obj any) runtime.RawExtension {
		body, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: body}
	}
	kind := func(kind string) metav1.GroupVersionKind {
		return metav1.GroupVersionKind{Group: "mainstay.dev", Version: "v1alpha1", Kind: kind}
	}
	good := podRule("a").Validate("refs.pods.size() == 0", "").Obj()
	bad := podRule("a").Validate("refs.none.size() == 0 &&\n nothing", "").Condition("c", "1").Obj()
	gone := bad.DeepCopy()
	gone.DeletionTimestamp = &metav1.Time{Time: testNow}
	suspended := bad.DeepCopy()
	suspended.Spec.Suspend = true
	labelled := bad.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	authorizing := podRule("a").Validate("refs.pods.size() == 0 && authorizer.requestResource.check('x').allowed()", "").Obj()
	long := podRule("a")
	for range 60 {
		long.Validate("nothing", "")
	}
	many, lengthy := podRule("a"), podRule("a").Validate("nothing"+strings.Repeat(" ", maxExpression), "").Obj()
	for range maxItems + 1 {
		many.Validate("nothing", "")
	}
	tenant := builders.MakeRule("shop", "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Refer("pods", "v1", "Pod").Validate("false", "").
		MessageExpression("string(refs.pods.size())").Obj()
	const mistakes = `spec.matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int; ` +
		`spec.validations[0].expression: Invalid value: "refs.none.size() == 0 &&\n nothing": line 1, column 5: undefined field 'none' (and 1 more)`
	tests := map[string]struct {
		request admissionv1.AdmissionRequest
		want    string
	}{
		"created":          {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(good)}, ""},
		"with mistakes":    {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(bad)}, mistakes},
		"changed to them":  {admissionv1.AdmissionRequest{Operation: "UPDATE", Kind: kind("ClusterRule"), Object: raw(bad), OldObject: raw(good)}, mistakes},
		"had them before":  {admissionv1.AdmissionRequest{Operation: "UPDATE", Kind: kind("ClusterRule"), Object: raw(labelled), OldObject: raw(bad)}, ""},
		"is suspended":     {admissionv1.AdmissionRequest{Operation: "UPDATE", Kind: kind("ClusterRule"), Object: raw(suspended), OldObject: raw(bad)}, ""},
		"is being deleted": {admissionv1.AdmissionRequest{Operation: "UPDATE", Kind: kind("ClusterRule"), Object: raw(gone), OldObject: raw(good)}, ""},
		"deleted":          {admissionv1.AdmissionRequest{Operation: "DELETE", Kind: kind("ClusterRule"), OldObject: raw(bad)}, ""},
		"its status":       {admissionv1.AdmissionRequest{Operation: "UPDATE", SubResource: "status", Kind: kind("ClusterRule"), Object: raw(bad)}, ""},
		"too many items":   {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(many.Obj())}, ""},
		"too long":         {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(lengthy)}, ""},
		"not decodable":    {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: runtime.RawExtension{Raw: []byte(`{"spec": 1}`)}}, ""},
		"another kind":     {admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("Lifeline"), Object: raw(bad)}, ""},
		"cannot be enforced": {
			admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(authorizing)},
			"spec: the expressions use refs.pods, which takes the webhook, and authorizer, which only the API server has: leave out one of them, or make two rules of this one",
		},
		"a Rule that shows too much": {
			admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("Rule"), Namespace: "shop", Object: raw(tenant)},
			`spec.validations[0].messageExpression: Invalid value: "string(refs.pods.size())": line 1, column 12: refs cannot be used here: ` +
				`the message of a namespaced Rule with mode Admission would show objects that its author may not read`,
		},
	}
	f := newEngine(t, newFakeObjects())
	ask := func(t *testing.T, q *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		t.Helper()
		q.UID = "u1"
		body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: q})
		if err != nil {
			t.Fatal(err)
		}
		_, response := post(t, f.ValidateHandler(), policy.ValidatePath, body)
		return response
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := ask(t, &tc.request)
			got := ""
			if !response.Allowed {
				got = response.Result.Message
			}
			if got != tc.want || response.UID != "u1" {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	parts := `{"request": {"object": {"spec": {"matchConstraints": {"objectSelector": {"matchExpressions": [null` + strings.Repeat(",null", 50_000) + `]}}}}}}`
	if code, _ := post(t, f.ValidateHandler(), policy.ValidatePath, []byte(parts)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a rule of many parts: HTTP %d", code)
	}
	response := ask(t, &admissionv1.AdmissionRequest{Operation: "CREATE", Kind: kind("ClusterRule"), Object: raw(long.Obj())})
	if message := response.Result.Message; len(message) > maxMistakes || !strings.HasSuffix(message, "…") {
		t.Errorf("a message of %d bytes", len(message))
	}
	if stats := f.compiler.Stats(); stats.Misses != 0 || stats.Entries != 0 {
		t.Errorf("rules that are not stored are kept: %+v", stats)
	}
}

// TestRulesThatAreAppliedTakeTurns has a rule that takes long to compile keep others that are
// applied waiting, for as long as their callers wait, and nobody else.
func TestRulesThatAreAppliedTakeTurns(t *testing.T) {
	t.Parallel()
	inForce := few("everywhere", 0).Obj()
	f := start(t, newFakeObjects(), inForce)
	apply := func(query, expression string, suspend bool) (int, *admissionv1.AdmissionResponse) {
		applied := podRule("a").Validate(expression, "").Obj()
		applied.Spec.Suspend = suspend
		body, err := json.Marshal(admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
			UID: "u1", Operation: "CREATE", Kind: metav1.GroupVersionKind{Group: "mainstay.dev", Version: "v1alpha1", Kind: "ClusterRule"},
			Object: runtime.RawExtension{Object: applied},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return post(t, f.ValidateHandler(), policy.ValidatePath+query, body)
	}

	if !f.compiling.TryAcquire(1) {
		t.Fatal("a turn was not given back")
	}
	begin := time.Now()
	if code, _ := apply("?timeout=1s", "refs.pods.size() == 0", false); code != http.StatusServiceUnavailable {
		t.Errorf("while another one is compiled: HTTP %d", code)
	}
	if took := time.Since(begin); took > defaultTimeout/2 {
		t.Errorf("it waited for %s, and its caller for a second", took)
	}
	if code, response := apply("?timeout=30s", "nothing", true); code != http.StatusOK || !response.Allowed {
		t.Errorf("one that is not compiled: HTTP %d, %+v", code, response)
	}
	if code, _ := f.ask(t, health.PathSelfReview+"?timeout=30s", review(t, aPod)); code != http.StatusOK {
		t.Errorf("what the replica asks itself: HTTP %d", code)
	}
	if got := f.says(t, inForce, aPod); !strings.HasPrefix(got, "422 Invalid: ClusterRule everywhere") {
		t.Errorf("what is judged: %s", got)
	}
	f.compiling.Release(1)
	if code, response := apply("?timeout=30s", "nothing", false); code != http.StatusOK || response.Allowed {
		t.Errorf("one with a mistake, in its turn: HTTP %d, %+v", code, response)
	}
	if code, response := apply("?timeout=30s", "refs.pods.size() == 0", false); code != http.StatusOK || !response.Allowed {
		t.Errorf("one without, after that: HTTP %d, %+v", code, response)
	}
}
