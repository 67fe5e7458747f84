package webhook

import (
	"encoding/json"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// maxMistakes bounds what is said of a rule that does not compile, in bytes.
const maxMistakes = 4096

// ValidateHandler compiles rules that are applied. It fails open: what it
// cannot decode is admitted, and the condition of the rule says the rest.
func (e *Engine) ValidateHandler() http.Handler {
	compiler := e.compiler.WithoutCache()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out reply
		if err := e.room.within(w, r, timeoutOf(r), func(body []byte) { out = validate(compiler, body) }); err != nil {
			out = unread(err)
		}
		out.write(w)
	})
}

// validate answers one review of a rule.
func validate(compiler *expr.Compiler, body []byte) reply {
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, &review); err != nil {
		return refusal(http.StatusBadRequest, "decode the review: "+expr.Shorten(err.Error(), maxQuoted))
	}
	if review.Request == nil || len(review.Request.UID) > maxQuoted {
		return refusal(http.StatusBadRequest, "decode the review: it has no request, or a uid that is too long")
	}
	response := &admissionv1.AdmissionResponse{Allowed: true}
	if message := mistakesOf(compiler, review.Request); message != "" {
		response.Allowed = false
		response.Result = &metav1.Status{
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: message,
		}
	}
	return admission(review.Request.UID, response)
}

// mistakesOf says what is wrong with the rule of a request, as its conditions
// would; empty for nothing, and for what is no rule.
func mistakesOf(compiler *expr.Compiler, q *admissionv1.AdmissionRequest) (message string) {
	defer func() {
		if recover() != nil {
			message = ""
		}
	}()
	if q.Operation != admissionv1.Create && q.Operation != admissionv1.Update || q.Kind.Group != v1alpha1.GroupVersion.Group || q.SubResource != "" {
		return ""
	}
	// Both kinds have this shape.
	var obj, old v1alpha1.ClusterRule
	if json.Unmarshal(q.Object.Raw, &obj) != nil || obj.DeletionTimestamp != nil {
		return ""
	}
	if obj.Spec.Suspend {
		// A rule that came to be with mistakes can be taken out, too.
		return ""
	}
	if q.Operation == admissionv1.Update && json.Unmarshal(q.OldObject.Raw, &old) == nil && equality.Semantic.DeepEqual(old.Spec, obj.Spec) {
		return ""
	}
	key := rule.Key{Kind: q.Kind.Kind, Name: obj.Name}
	switch key.Kind {
	case rule.KindRule:
		key.Namespace = q.Namespace
	case rule.KindClusterRule:
	default:
		return ""
	}
	var lines []string
	compiled, mistakes := rule.Compile(compiler, key, obj.Generation, &obj.Spec)
	for _, mistake := range mistakes {
		lines = append(lines, mistake.Error())
	}
	if len(mistakes) == 0 {
		if refusal := policy.Check(compiled); refusal != nil {
			lines = append(lines, refusal.Message)
		}
	}
	return expr.Shorten(strings.Join(lines, "; "), maxMistakes)
}
