package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/test/builders"
)

const definition = "clusterrules.mainstay.dev"

var (
	removed   = []string{"no " + kindBinding + guarded, "no " + kindBinding + recovery, "no " + kindPolicy + guarded, "no " + kindPolicy + recovery}
	forbidden = apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no roles yet"))
	busy      = apierrors.NewTooManyRequests("busy", 1)
)

func record() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "mainstay-system", Name: gate.RecordName}, Data: map[string]string{"reason": "INC-4711"}}
}

// counting needs the webhook.
func counting() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("web").UID(seen.UID).Generation(seen.Generation).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
		Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "")
}

func (s *server) reconcile(t *testing.T) ctrl.Result {
	t.Helper()
	result, err := s.Reconcile(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestOldCacheHandsNothingOver has the webhook enforce the generation of an old cache: the
// policies that a former leader wrote for a later one stay.
func TestOldCacheHandsNothingOver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		live []client.Object
		want []string
		wait time.Duration
	}{
		"there is a later generation": {[]client.Object{noBad().Generation(2).Obj()}, nil, behind},
		"it is the same":              {[]client.Object{counting().Obj()}, removed, 0},
		"it is gone":                  {nil, removed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, objectsOf(t, noBad().Obj()), []client.Object{counting().Obj()}, tc.live)
			webhook := &rulecontroller.Reports{}
			s.Webhook = webhook
			webhook.Set(key, policy.Report{UID: seen.UID, Generation: seen.Generation, Enforced: metav1.ConditionTrue})
			if result := s.reconcile(t); result.RequeueAfter != policy.Settling || len(s.asked) > 0 {
				t.Errorf("again after %s, asked about %v", result.RequeueAfter, s.asked)
			}
			s.clock.Step(policy.Settling)
			if result := s.reconcile(t); result.RequeueAfter != tc.wait {
				t.Errorf("again after %s, want %s", result.RequeueAfter, tc.wait)
			}
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPoliciesGoWhereTheWebhookHasTheRule has those of a former generation stay while the webhook
// cannot judge by the present one, and not where there is nothing that it could judge.
func TestPoliciesGoWhereTheWebhookHasTheRule(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		says policy.Report
		want []string
	}{
		"it judges by it":              {policy.Report{Enforced: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}, removed},
		"there is nothing to judge":    {policy.Report{Enforced: metav1.ConditionFalse, Reason: v1alpha1.ReasonKindNotFound, Nothing: true}, removed},
		"what it refers to is not":     {policy.Report{Enforced: metav1.ConditionFalse, Reason: v1alpha1.ReasonKindNotFound}, nil},
		"what it refers to is read":    {policy.Report{Enforced: metav1.ConditionUnknown, Reason: v1alpha1.ReasonSyncing}, nil},
		"the configuration is refused": {policy.Report{Enforced: metav1.ConditionFalse, Reason: v1alpha1.ReasonRejected}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, objectsOf(t, noBad().Obj()), []client.Object{counting().Obj()}, []client.Object{counting().Obj()})
			webhook := &rulecontroller.Reports{}
			s.Webhook = webhook
			tc.says.UID, tc.says.Generation, tc.says.Enforcement = seen.UID, seen.Generation, v1alpha1.EnforcementWebhook
			webhook.Set(key, tc.says)
			s.reconcile(t)
			if len(s.written) > 0 {
				t.Errorf("written at once: %v", s.written)
			}
			s.clock.Step(policy.Settling)
			s.reconcile(t)
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOldGenerationIsNotWritten has a cache that is behind, with the rule or with the record of
// who opened the gates, write nothing over what a former leader did.
func TestOldGenerationIsNotWritten(t *testing.T) {
	t.Parallel()
	another := noBad().UID("another").Obj()
	going := noBad().Obj()
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: time.Unix(0, 0)}, []string{"somebody/waits"}
	denies, more := objectsOf(t, noBad().Obj()), objectsOf(t, noBad().Validate("object.metadata.name != 'worse'", "").Obj())
	guardedOnly := &policy.Objects{Policies: denies.Policies[:1], Bindings: denies.Bindings[:1]}
	written := []string{kindPolicy + guarded + forReal, kindPolicy + recovery + forReal}
	for name, tc := range map[string]struct {
		policies, wanted *policy.Objects
		live             []client.Object
		want             []string
	}{
		"it is the same":               {more, denies, []client.Object{noBad().Obj()}, written},
		"there is a later generation":  {more, denies, []client.Object{noBad().Generation(2).Obj()}, nil},
		"it was made anew":             {more, denies, []client.Object{another}, nil},
		"it is gone":                   {more, denies, nil, nil},
		"it is going":                  {more, denies, []client.Object{going}, nil},
		"the gates were opened":        {more, denies, []client.Object{noBad().Obj(), record()}, nil},
		"a part goes":                  {denies, guardedOnly, []client.Object{noBad().Obj()}, []string{removed[1], removed[3]}},
		"a part goes, of a later one":  {denies, guardedOnly, []client.Object{noBad().Generation(2).Obj()}, nil},
		"nothing differs from the old": {denies, denies, []client.Object{noBad().Generation(2).Obj()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tc.policies, nil, tc.live)
			result, err := s.enforce(t.Context(), key, tc.wanted, seen, s.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, s.forReal()); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			differs := tc.policies != tc.wanted
			if len(s.asked) > 0 != differs {
				t.Errorf("asked about %v", s.asked)
			}
			_, said := s.Report(key)
			if waits := differs && tc.want == nil; waits == said || waits != (result.RequeueAfter == behind) {
				t.Errorf("again after %s, reported: %t", result.RequeueAfter, said)
			}
		})
	}
}

// forReal is what was written but for dry runs.
func (s *server) forReal() []string {
	var out []string
	for _, what := range s.written {
		if !strings.HasSuffix(what, dry) {
			out = append(out, what)
		}
	}
	return out
}

// TestNothingIsWrittenWhileNobodyCanSay has the API server not say how the rule is, or whether
// the gates are open. That it forbids to ask is reported once it has lasted.
func TestNothingIsWrittenWhileNobodyCanSay(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]string{"the rule": key.Name, "the record": gate.RecordName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &policy.Objects{}, nil, []client.Object{noBad().Obj()})
			enforce := func() (ctrl.Result, error) {
				return s.enforce(t.Context(), key, objectsOf(t, noBad().Obj()), seen, s.clock.Now())
			}
			s.unread[what] = busy
			if _, err := enforce(); !apierrors.IsTooManyRequests(err) {
				t.Errorf("%v, want it to be tried again", err)
			}
			s.unread[what] = forbidden
			for _, wait := range []time.Duration{policy.Lasting / 6, policy.Lasting} {
				if _, said := s.Report(key); said {
					t.Error("it is reported at once")
				}
				if result, err := enforce(); err != nil || result.RequeueAfter != wait {
					t.Errorf("again after %s, %v; want %s", result.RequeueAfter, err, wait)
				}
				s.clock.Step(policy.Lasting)
			}
			if report, _ := s.Report(key); report.Reason != v1alpha1.ReasonForbidden {
				t.Errorf("reported %+v", report)
			}
			if got := s.forReal(); len(got) > 0 {
				t.Errorf("written %v", got)
			}
		})
	}
}

// TestOpenedGatesWaitForNoCache has the record alone open the gates, whatever the cache has of
// the rule, and whatever the API server says of it.
func TestOpenedGatesWaitForNoCache(t *testing.T) {
	t.Parallel()
	later := noBad().Generation(2).Obj()
	for name, tc := range map[string]struct {
		cached client.Object
		live   client.Object
		unread error
		want   string
	}{
		"it is the same":              {noBad().Obj(), noBad().Obj(), nil, v1alpha1.ReasonUnlocked},
		"there is a later generation": {noBad().Obj(), later, nil, v1alpha1.ReasonUnlocked},
		"nobody can say":              {noBad().Obj(), noBad().Obj(), busy, v1alpha1.ReasonUnlocked},
		"it was suspended before":     {noBad().Suspend().Obj(), later, nil, v1alpha1.ReasonSuspended},
		"it needed the webhook":       {counting().Obj(), later, nil, v1alpha1.ReasonUnlocked},
		"it is not known yet":         {nil, later, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cached := []client.Object{record()}
			if tc.cached != nil {
				cached = append(cached, tc.cached)
			}
			s := newServer(t, objectsOf(t, noBad().Obj()), cached, []client.Object{record(), tc.live})
			s.unread[key.Name] = tc.unread
			s.reconcile(t)
			if diff := cmp.Diff(removed, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if report, _ := s.Report(key); report.Reason != tc.want {
				t.Errorf("reported %+v, want %q", report, tc.want)
			}
		})
	}
}

// TestForbiddenDefinitionIsReported has the owner of bindings be what Mainstay may not read.
// Where the webhook judges by a rule it needs none.
func TestForbiddenDefinitionIsReported(t *testing.T) {
	t.Parallel()
	s := newServer(t, &policy.Objects{}, []client.Object{noBad().Obj()}, []client.Object{noBad().Obj()})
	s.unread[definition] = forbidden
	if result := s.reconcile(t); result.RequeueAfter != policy.Lasting/6 {
		t.Errorf("again after %s", result.RequeueAfter)
	}
	if report, said := s.Report(key); said {
		t.Errorf("at once it is reported: %+v", report)
	}
	s.clock.Step(policy.Lasting)
	if result := s.reconcile(t); result.RequeueAfter != policy.Lasting {
		t.Errorf("again after %s", result.RequeueAfter)
	}
	report, _ := s.Report(key)
	if report.Reason != v1alpha1.ReasonForbidden || report.Enforcement != v1alpha1.EnforcementInProcess || !strings.Contains(report.Message, definition) {
		t.Errorf("reported %+v", report)
	}
	s.unread = map[string]error{}
	s.reconcile(t)
	if report, _ := s.Report(key); report.Reason != v1alpha1.ReasonSucceeded {
		t.Errorf("reported %+v", report)
	}

	s = newServer(t, &policy.Objects{}, []client.Object{counting().Obj()}, nil)
	s.unread[definition], s.Webhook = forbidden, &rulecontroller.Reports{}
	if result := s.reconcile(t); result.RequeueAfter != policy.Settling || len(s.asked) > 0 {
		t.Errorf("for the webhook's: again after %s, asked about %v", result.RequeueAfter, s.asked)
	}
}
