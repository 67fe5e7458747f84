package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// maxMistakes bounds what is said of a rule that does not compile, in bytes.
	maxMistakes = 4096

	// maxParts bounds what the parts of a review of a rule take in memory, in bytes, by the
	// estimate for any JSON. The largest rules have much text and few parts; a part can take
	// twenty times as much when it is found to be wrong.
	maxParts = 1 << 20

	// maxItems and maxExpression are the schema's bounds on lists and on the length of an
	// expression. The API server asks about what keeps to them; others could have this
	// replica compile for as long as they like.
	maxItems      = 64
	maxExpression = 8192
)

// ValidateHandler compiles rules that are applied, one at a time: a large one takes a processor
// for seconds, and nothing ends it before. It fails open: what it cannot decode, or has no turn
// for, is admitted, and the condition of the rule says the rest.
func (e *Engine) ValidateHandler() http.Handler {
	v := &validator{compiler: e.compiler.WithoutCache(), turn: e.compiling}
	room := newRoom(ruleRoom, ruleRoom)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out reply
		deadline := time.Now().Add(timeoutOf(r))
		ctx, cancel := context.WithDeadline(r.Context(), deadline)
		defer cancel()
		if err := room.within(w, r, deadline, func(body []byte) { out = v.validate(ctx, body) }); err != nil {
			out = unread(err)
		}
		out.write(w)
	})
}

// validator answers reviews of rules.
type validator struct {
	compiler *expr.Compiler
	turn     *semaphore.Weighted
}

// validate answers one review of a rule. It waits for its turn until ctx ends.
func (v *validator) validate(ctx context.Context, body []byte) reply {
	if decodedSize(body)-int64(len(body)) > maxParts {
		return refusal(http.StatusRequestEntityTooLarge, "decode the review: it has too many parts for that of a rule")
	}
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, &review); err != nil {
		return refusal(http.StatusBadRequest, "decode the review: "+expr.Shorten(err.Error(), maxQuoted))
	}
	if review.Request == nil || len(review.Request.UID) > maxQuoted {
		return refusal(http.StatusBadRequest, "decode the review: it has no request, or a uid that is too long")
	}
	response := &admissionv1.AdmissionResponse{Allowed: true}
	if key, obj := appliedRule(review.Request); obj != nil {
		if v.turn.Acquire(ctx, 1) != nil {
			return refusal(http.StatusServiceUnavailable, "compile the rule: this replica compiles others")
		}
		defer v.turn.Release(1)
		if message := mistakesOf(v.compiler, key, obj); message != "" {
			response.Allowed = false
			response.Result = &metav1.Status{
				Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: message,
			}
		}
	}
	return admission(review.Request.UID, response)
}

// appliedRule is the rule of a request that is to be compiled; nil where there is none. Both
// kinds have the shape of a ClusterRule.
func appliedRule(q *admissionv1.AdmissionRequest) (rule.Key, *v1alpha1.ClusterRule) {
	if q.Operation != admissionv1.Create && q.Operation != admissionv1.Update || q.Kind.Group != v1alpha1.GroupVersion.Group || q.SubResource != "" {
		return rule.Key{}, nil
	}
	var obj, old v1alpha1.ClusterRule
	if json.Unmarshal(q.Object.Raw, &obj) != nil || obj.DeletionTimestamp != nil {
		return rule.Key{}, nil
	}
	// A rule that came to be with mistakes can be taken out, too.
	if obj.Spec.Suspend || !storable(&obj.Spec) {
		return rule.Key{}, nil
	}
	if q.Operation == admissionv1.Update && json.Unmarshal(q.OldObject.Raw, &old) == nil && equality.Semantic.DeepEqual(old.Spec, obj.Spec) {
		return rule.Key{}, nil
	}
	key := rule.Key{Kind: q.Kind.Kind, Name: obj.Name}
	switch key.Kind {
	case rule.KindRule:
		key.Namespace = q.Namespace
	case rule.KindClusterRule:
	default:
		return rule.Key{}, nil
	}
	return key, &obj
}

// mistakesOf says what is wrong with a rule, as its conditions would; empty for nothing.
func mistakesOf(compiler *expr.Compiler, key rule.Key, obj *v1alpha1.ClusterRule) (message string) {
	defer func() {
		if recover() != nil {
			message = ""
		}
	}()
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

// storable says whether a spec keeps to the bounds of the schema that matter to how long it
// takes to compile.
func storable(s *v1alpha1.RuleSpec) bool {
	match := &s.MatchConstraints
	if max(len(s.MatchConditions), len(s.Variables), len(s.Validations), len(s.References), len(match.ResourceRules), len(match.ExcludeResourceRules)) > maxItems {
		return false
	}
	long := func(expression string) bool { return utf8.RuneCountInString(expression) > maxExpression }
	return !slices.ContainsFunc(s.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return long(c.Expression) }) &&
		!slices.ContainsFunc(s.Variables, func(v admissionregistrationv1.Variable) bool { return long(v.Expression) }) &&
		!slices.ContainsFunc(s.Validations, func(v admissionregistrationv1.Validation) bool {
			return long(v.Expression) || long(v.MessageExpression)
		})
}
