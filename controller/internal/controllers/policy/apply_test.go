package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

var (
	key = rule.Key{Kind: rule.KindClusterRule, Name: "web"}
	// seen is the generation that noBad is.
	seen = policy.Report{UID: "uid-1", Generation: 1}
)

// objectsOf are what a rule compiles to.
func objectsOf(t *testing.T, r *v1alpha1.ClusterRule) *policy.Objects {
	t.Helper()
	compiler, err := expr.NewCompiler(1)
	if err != nil {
		t.Fatal(err)
	}
	compiled, mistakes := rule.Compile(compiler, key, 1, &r.Spec)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	objects, refusal := policy.Compile(compiled, policy.Options{Recovery: policy.Recovery{Namespaces: []string{"kube-system"}}})
	if refusal != nil {
		t.Fatal(refusal)
	}
	return objects
}

func noBad() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("web").UID(seen.UID).Generation(seen.Generation).Modes(v1alpha1.ModeAdmission).
		Match("apps", "v1", "deployments").Validate("object.metadata.name != 'bad'", "")
}

const (
	kindPolicy, kindBinding = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
	guarded, recovery       = " mainstay-cr-web", " mainstay-recovery-cr-web"
	dry                     = "[All]"
	forReal                 = "[]"
)

// server is an API server, and the cache of it.
type server struct {
	*Reconciler
	clock *clocktesting.FakeClock
	// refuse has what it says of writes of an object, and unread of reads.
	refuse, unread map[string]error
	// asked is what it was asked about, and written what it was told to have or to delete.
	asked, written []string
	// as are the versions by which objects were written last.
	as map[string]string
	// serves is what it serves, nil while that is not known.
	serves []rule.APIResource
	// inForce is what the webhook judges by.
	inForce *rule.Rule
}

func (s *server) Complete() bool            { return s.serves != nil }
func (s *server) Paths() []rule.APIResource { return s.serves }
func (s *server) Handle(informer.Handler)   {}

// newServer has policies that the API server and the cache know alike, and what else is in the
// one and in the other.
func newServer(t *testing.T, policies *policy.Objects, cached, live []client.Object) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := expr.NewCompiler(1)
	if err != nil {
		t.Fatal(err)
	}
	objs := slices.Clone(cached)
	for _, p := range policies.Policies {
		objs = append(objs, p)
	}
	for _, b := range policies.Bindings {
		objs = append(objs, b)
	}
	s := &server{clock: clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), refuse: map[string]error{}, unread: map[string]error{}, as: map[string]string{}}
	cache := fake.NewClientBuilder().WithScheme(scheme).WithObjects(copies(objs)...).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			options := (&client.ApplyOptions{}).ApplyOptions(opts)
			what, _ := obj.(interface {
				GetKind() string
				GetName() string
				GetResourceVersion() string
			})
			name := what.GetKind() + " " + what.GetName()
			s.as[name] = what.GetResourceVersion()
			s.written = append(s.written, fmt.Sprint(name, options.DryRun))
			return s.refuse[name]
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			s.written = append(s.written, "no "+kindOf(obj)+" "+obj.GetName())
			return c.Delete(ctx, obj, opts...)
		},
	}).Build()
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(copies(live)...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			s.asked = append(s.asked, at.Name)
			_, definition := obj.(*metav1.PartialObjectMetadata)
			if err := s.unread[at.Name]; err != nil || definition {
				return err
			}
			return c.Get(ctx, at, obj, opts...)
		},
	}).Build()
	s.Reconciler = New(Options{
		Objects: s, InForce: func(rule.Key) *rule.Rule { return s.inForce },
		Client: cache, Reader: api, Compiler: compiler, Metrics: m, Clock: s.clock, Namespace: "mainstay-system", Recovery: policy.Recovery{Namespaces: []string{"kube-system"}},
	})
	return s
}

// copies are for a fake client, which writes into what it is given.
func copies(objs []client.Object) []client.Object {
	var out []client.Object
	for _, obj := range objs {
		out = append(out, obj.DeepCopyObject().(client.Object))
	}
	return out
}

// TestWhatIsRefusedChangesNothing has a generation of which the API server refuses a part leave
// the former one as it is. What somebody else owns keeps only that from being written, unless
// something would be opened.
func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: kindPolicy}, "web", nil)
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}}, "somebody else's")
	denies := noBad().Obj()
	deniesMore := noBad().Validate("object.metadata.name != 'worse'", "").Obj()
	warns := noBad().Validate("object.metadata.name != 'worse'", "").Actions(admissionregistrationv1.Warn).Obj()
	tried := []string{kindPolicy + guarded + dry, kindPolicy + recovery + dry, kindBinding + guarded + dry, kindBinding + recovery + dry}
	all := []string{kindPolicy + guarded + forReal, kindPolicy + recovery + forReal, kindBinding + guarded + forReal, kindBinding + recovery + forReal}
	for name, tc := range map[string]struct {
		before, after *v1alpha1.ClusterRule
		refuse        map[string]error
		wantReason    string
		want          []string
	}{
		"it warns":                                 {denies, warns, nil, "", slices.Concat(tried, all[2:], all[:2])},
		"it warns, a policy is refused":            {denies, warns, map[string]error{kindPolicy + guarded: invalid}, v1alpha1.ReasonRejected, tried[:1]},
		"it warns, a policy is others'":            {denies, warns, map[string]error{kindPolicy + guarded: conflict}, v1alpha1.ReasonConflict, tried},
		"it warns, a binding is others'":           {denies, warns, map[string]error{kindBinding + guarded: conflict}, v1alpha1.ReasonConflict, tried},
		"it denies":                                {warns, denies, nil, "", slices.Concat(tried, all)},
		"it denies more":                           {denies, deniesMore, nil, "", slices.Concat(tried[:2], all[:2])},
		"it denies, the second policy is refused":  {denies, deniesMore, map[string]error{kindPolicy + recovery: invalid}, v1alpha1.ReasonRejected, tried[:2]},
		"it denies, the second policy is others'":  {denies, deniesMore, map[string]error{kindPolicy + recovery: conflict}, v1alpha1.ReasonConflict, slices.Concat(tried[:2], all[:2])},
		"it denies, the second binding is others'": {warns, denies, map[string]error{kindBinding + recovery: conflict}, v1alpha1.ReasonConflict, slices.Concat(tried, all)},
		"it is there":                              {denies, denies, nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, objectsOf(t, tc.before), nil, []client.Object{tc.after})
			s.refuse = tc.refuse
			_, refusal, err := s.apply(t.Context(), key, objectsOf(t, tc.after), seen)
			if err != nil || tc.wantReason == "" != (refusal == nil) || refusal != nil && refusal.Reason != tc.wantReason {
				t.Errorf("refused %+v, %v; want %q", refusal, err, tc.wantReason)
			}
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWrittenAsItWasCompared has a leader that was paused between its look and its write make
// nothing of what another one did meanwhile: an object that the cache has is written in the
// version that it has it.
func TestWrittenAsItWasCompared(t *testing.T) {
	t.Parallel()
	s := newServer(t, objectsOf(t, noBad().Obj()), nil, []client.Object{noBad().Obj()})
	want := objectsOf(t, noBad().Validate("object.metadata.name != 'worse'", "").Obj())
	if _, refusal, err := s.apply(t.Context(), key, want, seen); refusal != nil || err != nil {
		t.Fatal(refusal, err)
	}
	for _, p := range want.Policies {
		var cached admissionregistrationv1.ValidatingAdmissionPolicy
		if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(p), &cached); err != nil {
			t.Fatal(err)
		}
		if got := s.as[kindPolicy+" "+p.Name]; got == "" || got != cached.ResourceVersion {
			t.Errorf("%s was written in version %q, want %q", p.Name, got, cached.ResourceVersion)
		}
	}
}

// TestAnotherConflictIsTriedAgain has a write that another one came between be nobody's
// field.
func TestAnotherConflictIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, &policy.Objects{}, nil, []client.Object{noBad().Obj()})
	s.refuse[kindPolicy+guarded] = apierrors.NewConflict(schema.GroupResource{Resource: "validatingadmissionpolicies"}, "web", errors.New("the object has been modified"))
	_, err := s.enforce(t.Context(), key, objectsOf(t, noBad().Obj()), seen, s.clock.Now())
	if report, said := s.Report(key); !apierrors.IsConflict(err) || said {
		t.Errorf("%v, reported %+v", err, report)
	}
}

// TestForbiddenLasts has what an API server forbids that has just started be no news.
func TestForbiddenLasts(t *testing.T) {
	t.Parallel()
	s := newServer(t, &policy.Objects{}, nil, []client.Object{noBad().Obj()})
	objects := objectsOf(t, noBad().Obj())
	step := func(after time.Duration, refuse error, wantWait time.Duration, wantReason string) {
		t.Helper()
		s.clock.Step(after)
		s.refuse = map[string]error{kindPolicy + guarded: refuse}
		result, err := s.enforce(t.Context(), key, objects, seen, s.clock.Now())
		report, _ := s.Report(key)
		if err != nil || result.RequeueAfter != wantWait || report.Reason != wantReason {
			t.Errorf("again after %s, reported %+v, %v; want %s, %q", result.RequeueAfter, report, err, wantWait, wantReason)
		}
	}
	no := apierrors.NewForbidden(schema.GroupResource{Resource: "validatingadmissionpolicies"}, "web", errors.New("no roles yet"))
	step(0, no, 10*time.Second, "")
	step(10*time.Second, nil, 0, v1alpha1.ReasonSucceeded)
	step(time.Hour, no, 10*time.Second, v1alpha1.ReasonSucceeded)
	step(59*time.Second, no, 10*time.Second, v1alpha1.ReasonSucceeded)
	step(time.Second, no, time.Minute, v1alpha1.ReasonForbidden)
	step(time.Minute, apierrors.NewInvalid(schema.GroupKind{}, "web", nil), pause, v1alpha1.ReasonRejected)
	step(pause, no, 10*time.Second, v1alpha1.ReasonRejected)
}

// TestWhatDoesNotCompileSparesTheRecoveryPath has a rule that does not compile any more leave what
// enforces it, but for what became the recovery path since.
func TestWhatDoesNotCompileSparesTheRecoveryPath(t *testing.T) {
	t.Parallel()
	broken := noBad().Validate("object.(", "").Obj()
	before := objectsOf(t, noBad().Obj())
	const kept = "not enforced as it is now, and what was before is left as it is: "
	for name, tc := range map[string]struct {
		recovery policy.Recovery
		before   *policy.Objects
		inForce  bool
		refuse   error
		want     []string
		wantSaid string
	}{
		"nothing changed":             {policy.Recovery{Namespaces: []string{"kube-system"}}, before, false, nil, nil, kept},
		"another namespace":           {policy.Recovery{Namespaces: []string{"cni", "kube-system"}}, before, false, nil, []string{kindPolicy + guarded + forReal, kindPolicy + recovery + forReal}, kept},
		"another user":                {policy.Recovery{Namespaces: []string{"kube-system"}, Users: []string{"eks:*"}}, before, false, nil, []string{kindPolicy + guarded + forReal, kindPolicy + recovery + forReal}, kept},
		"the API server refuses that": {policy.Recovery{Namespaces: []string{"cni"}}, before, false, apierrors.NewInvalid(schema.GroupKind{Kind: kindPolicy}, "web", nil), []string{kindPolicy + guarded + forReal}, kept},
		"the webhook enforced it":     {policy.Recovery{}, &policy.Objects{}, true, nil, nil, kept},
		"nothing was before":          {policy.Recovery{}, &policy.Objects{}, false, nil, nil, "not enforced, and nothing that was before is known: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tc.before, []client.Object{broken}, []client.Object{broken})
			s.Recovery = tc.recovery
			if tc.inForce {
				s.inForce = &rule.Rule{}
			}
			if tc.refuse != nil {
				s.refuse[kindPolicy+guarded] = tc.refuse
			}
			s.reconcile(t)
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			report, _ := s.Report(key)
			if report.Reason != v1alpha1.ReasonInvalidExpression || !strings.HasPrefix(report.Message, tc.wantSaid) {
				t.Errorf("reported %+v, want %q", report, tc.wantSaid)
			}
			if said := strings.Contains(report.Message, "it may be enforced on what is the recovery path now"); said != (tc.refuse != nil) {
				t.Errorf("reported %q", report.Message)
			}
		})
	}
}

// TestVersionThatIsNotServed has a rule whose kind or version is gone not be said to be enforced:
// its policy judges nothing.
func TestVersionThatIsNotServed(t *testing.T) {
	t.Parallel()
	deployments := func(version string) rule.APIResource {
		return rule.APIResource{
			GroupVersionResource: schema.GroupVersionResource{Group: "apps", Version: version, Resource: "deployments"},
			Kind:                 "Deployment", Namespaced: true, Preferred: true,
		}
	}
	s := newServer(t, objectsOf(t, noBad().Obj()), []client.Object{noBad().Obj()}, []client.Object{noBad().Obj()})
	for _, step := range []struct {
		serves []rule.APIResource
		want   metav1.ConditionStatus
		reason string
	}{
		{nil, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		{[]rule.APIResource{deployments("v1")}, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		{[]rule.APIResource{deployments("v2")}, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound},
		{[]rule.APIResource{deployments("v2"), deployments("v1")}, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
	} {
		s.serves = step.serves
		s.reconcile(t)
		if report, _ := s.Report(key); report.Enforced != step.want || report.Reason != step.reason {
			t.Errorf("%v are served, reported %+v; want %s, %s", step.serves, report, step.want, step.reason)
		}
	}
}

// TestWhatCannotBeEnforcedSparesTheRecoveryPath has the policies of a former generation leave out
// what became the recovery path since, whatever keeps the present one from being enforced, and
// has it tried again where that is refused.
func TestWhatCannotBeEnforcedSparesTheRecoveryPath(t *testing.T) {
	t.Parallel()
	before := objectsOf(t, noBad().Obj())
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: kindPolicy}, "web", nil)
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "web", errors.New("no roles yet"))
	spared := []string{kindPolicy + guarded + forReal, kindPolicy + recovery + forReal}
	for name, tc := range map[string]struct {
		rule   *v1alpha1.ClusterRule
		refuse map[string]error
		want   []string
		again  time.Duration
	}{
		"the webhook cannot enforce it": {counting().Obj(), nil, spared, policy.Settling},
		"a policy of it is refused": {
			noBad().Validate("object.metadata.name != 'worse'", "").Obj(),
			map[string]error{kindPolicy + recovery: invalid},
			[]string{kindPolicy + guarded + dry, kindPolicy + recovery + dry, kindPolicy + guarded + forReal, kindPolicy + recovery + forReal},
			pause,
		},
		"nothing may be written yet": {
			noBad().Validate("object.(", "").Obj(),
			map[string]error{kindPolicy + guarded: forbidden},
			spared[:1],
			10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, before, []client.Object{tc.rule}, []client.Object{tc.rule})
			s.Recovery, s.refuse, s.Webhook = policy.Recovery{Namespaces: []string{"cni", "kube-system"}}, tc.refuse, &rulecontroller.Reports{}
			if result := s.reconcile(t); result.RequeueAfter != tc.again {
				t.Errorf("again after %s, want %s", result.RequeueAfter, tc.again)
			}
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}
