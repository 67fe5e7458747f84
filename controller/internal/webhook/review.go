package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Observer is told after each review that could be read.
type Observer interface {
	// Reviewed says whether the review failed for a reason of this replica's
	// own: not synced, out of time before the first rule, a fault of the program. A
	// rule that fails is none, nor one that takes all the time that there is: it
	// does so on every replica.
	Reviewed(own bool)
}

// errUnavailable is wrapped where something cannot be read that a rule needs.
var errUnavailable = errors.New("unavailable")

// unavailable is an error that says why.
type unavailable string

func (u unavailable) Error() string { return string(u) }

func (u unavailable) Is(target error) bool { return target == errUnavailable }

const notSynced = unavailable("this replica has not read yet what its rules refer to")

// growStack makes the goroutine's stack large enough for an evaluation at once. On the way
// into the expressions a small one is copied again and again: a fifth of the time that the
// first review of a goroutine takes: HTTP/1.1 has one for a connection, HTTP/2 for each review.
//
//go:noinline
func growStack() {
	var room [12 << 10]byte // about what an evaluation takes
	runtime.KeepAlive(&room)
}

// enough is what is left of a review's time, once all of it was read, where a replica that is
// well needs not be late. With less somebody else took the time: who sends the last byte late.
const enough = time.Second

// Handler answers the reviews of groups of rules, below policy.AdmitPath. The observer may
// be nil.
func (e *Engine) Handler(observer Observer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		group, found := strings.CutPrefix(r.URL.Path, policy.AdmitPath)
		if !found || group == "" || strings.Contains(group, "/") {
			http.Error(w, "want "+policy.AdmitPath+"<group>", http.StatusNotFound)
			return
		}
		ctx, deadline := r.Context(), time.Now().Add(timeoutOf(r))
		var out verdict
		err := e.room.within(w, r, deadline, func(body []byte) {
			// Until here it waited for the caller's bytes, and for room.
			start := time.Now()
			out = e.review(ctx, group, body, start, deadline)
			if r.URL.Path == health.PathSelfReview {
				return // nobody asked, and whether it is answered is known to who sent it
			}
			e.metrics.ReviewSeconds.Observe(time.Since(start).Seconds())
			e.metrics.Reviews.WithLabelValues(out.label).Inc()
			if observer != nil {
				observer.Reviewed(out.own)
			}
		})
		if err != nil {
			e.metrics.Reviews.WithLabelValues(metrics.VerdictError).Inc()
			out.reply = unread(err)
		}
		out.write(w)
	})
}

// verdict is what became of a review. own is true where this replica is the cause of a
// failure.
type verdict struct {
	reply

	label string
	own   bool
}

// review answers one review of a group, which was read at start.
func (e *Engine) review(ctx context.Context, group string, body []byte, start, deadline time.Time) (out verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			out = verdict{refusal(http.StatusInternalServerError, fmt.Sprintf("internal error: %v", cause)), metrics.VerdictError, true}
		}
	}()
	growStack()
	q, uid, err := Decode(body)
	if err != nil {
		return verdict{refusal(http.StatusBadRequest, err.Error()), metrics.VerdictError, false}
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	// In this order: what is read after the engine was ready has all rules.
	ready := e.ready.Load()
	current := e.current.Load()
	rules, known := current.groups[group]
	if !known {
		// Somebody wrote its entry who groups rules in another way, or knows another
		// generation of one.
		rules = current.all
	}
	if !known && !ready {
		// The API server does what the entry's failurePolicy says.
		return verdict{refusal(http.StatusInternalServerError, notSynced.Error()), metrics.VerdictError, true}
	}

	late := errors.Is(ctx.Err(), context.DeadlineExceeded) && deadline.Sub(start) >= enough
	a := &answer{}
	// Nobody is judged by what a replica asks itself: its path is in no metric.
	if q.Resource.Group != v1alpha1.GroupVersion.Group && policy.AdmitPath+group != health.PathSelfReview {
		e.judge(ctx, asked{rules: rules, group: known}, ready, q, a)
	}
	response, err := a.response()
	if err != nil {
		return verdict{refusal(http.StatusInternalServerError, err.Error()), metrics.VerdictError, true}
	}
	out.reply = admission(uid, response)
	out.own = len(rules) > 0 && !ready || late
	switch {
	case out.code != http.StatusOK:
		out.label, out.own = metrics.VerdictError, true
	case a.violations > 0:
		out.label = metrics.VerdictDenied
	case a.failures > 0:
		out.label = metrics.VerdictError
	default:
		out.label = metrics.VerdictAllowed
	}
	return out
}

// asked are the rules that a request is judged by. group says that they are of one group,
// whose entry asks by their selectors.
type asked struct {
	rules []*active
	group bool
}

// judge has a request judged by rules.
func (e *Engine) judge(ctx context.Context, by asked, ready bool, q *rule.Request, a *answer) {
	// An entry asks with the namespaceSelector of its group: a Namespace that has
	// not been read yet was selected.
	namespace := e.namespaceOf(q)
	q.Selected = namespace == nil
	made := map[listKey]expr.List{}
	now := e.clock.Now()
	for _, one := range by.rules {
		if !by.group && !one.counts(now) {
			continue
		}
		finding := failed(notSynced)
		if ready {
			finding = one.judge(ctx, q, by.group, namespace, made, now, &e.turns)
		}
		switch {
		case !finding.Matched:
		case finding.Outcome == v1alpha1.OutcomeFail:
			a.violated(one, &finding)
		case finding.Outcome == v1alpha1.OutcomeError:
			a.errored(one, &finding)
		}
	}
}

// failed is what a rule says where something that it needs cannot be read.
func failed(why unavailable) rule.Finding {
	return rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeError, Message: string(why), Validation: -1, Err: why}
}

// judge has a request judged by one rule. selected says that who asks did so by its
// selectors.
func (a *active) judge(ctx context.Context, q *rule.Request, selected bool, namespace *unstructured.Unstructured, made map[listKey]expr.List, now time.Time,
	turns *turns,
) rule.Finding {
	var (
		labels  map[string]string
		content map[string]any
	)
	if namespace != nil {
		content = namespace.Object
	}
	if a.rule.NeedsNamespace() && namespace != nil {
		labels = namespace.GetLabels()
	}
	if !a.rule.MatchesRequest(q, labels) {
		return rule.Finding{Validation: -1}
	}
	needed := a.rule.ReadsNamespace() || !selected && a.rule.NeedsNamespace()
	if needed && namespace == nil && q.ObjectNamespace() != "" {
		return failed(unavailable("the Namespace " + q.ObjectNamespace() + " is not known yet"))
	}
	return turns.within(ctx, a.rule.Key(), func() rule.Finding {
		return a.rule.EvaluateRequest(ctx, rule.RequestInput{
			Request: q, Namespace: content, Refs: &requestRefs{active: a, request: q, made: made}, Now: now,
		})
	})
}

// namespaceOf is the Namespace of a request, as it was read last.
func (e *Engine) namespaceOf(q *rule.Request) *unstructured.Unstructured {
	if q.Namespace == "" {
		return nil
	}
	found, ok := e.known.Load(q.Namespace)
	if !ok {
		return nil
	}
	return found.(*unstructured.Unstructured) //nolint:forcetypeassert // nothing else is in it
}
