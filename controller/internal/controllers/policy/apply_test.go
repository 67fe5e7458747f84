package policy

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

var key = rule.Key{Kind: rule.KindClusterRule, Name: "web"}

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
	objects, refusal := policy.Compile(compiled, policy.Options{RecoveryNamespaces: []string{"kube-system"}})
	if refusal != nil {
		t.Fatal(refusal)
	}
	return objects
}

func noBad() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("web").Modes(v1alpha1.ModeAdmission).Match("apps", "v1", "deployments").Validate("object.metadata.name != 'bad'", "")
}

// server is an API server that refuses to write some kind.
type server struct {
	*Reconciler
	clock *clocktesting.FakeClock
	// refuse has what it says of a kind.
	refuse  map[string]error
	written []string
}

func newServer(t *testing.T, stored *policy.Objects) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var objs []client.Object
	for _, p := range stored.Policies {
		objs = append(objs, p)
	}
	for _, b := range stored.Bindings {
		objs = append(objs, b)
	}
	s := &server{clock: clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), refuse: map[string]error{}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			options := (&client.ApplyOptions{}).ApplyOptions(opts)
			what, _ := obj.(interface {
				GetKind() string
				GetName() string
			})
			s.written = append(s.written, fmt.Sprint(what.GetKind(), " ", what.GetName(), options.DryRun))
			return s.refuse[what.GetKind()]
		},
	}).Build()
	s.Reconciler = New(Options{Client: c, Reader: c, Metrics: m, Clock: s.clock})
	return s
}

// TestWhatIsRefusedRelaxesNothing has a generation that warns, and is refused, leave the one
// that denies as it is.
func TestWhatIsRefusedRelaxesNothing(t *testing.T) {
	t.Parallel()
	const (
		kindPolicy, kindBinding = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
		dry                     = "[All]"
		guarded, recovery       = " mainstay-cr-web", " mainstay-recovery-cr-web"
	)
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: kindPolicy}, "web", nil)
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}}, "somebody else's")
	denies := noBad().Obj()
	warns := noBad().Validate("object.metadata.name != 'worse'", "").Actions(admissionregistrationv1.Warn).Obj()
	for name, tc := range map[string]struct {
		refuse     map[string]error
		wantReason string
		want       []string
	}{
		"taken": {nil, "", []string{
			kindPolicy + guarded + dry, kindPolicy + recovery + dry, kindBinding + guarded + dry, kindBinding + recovery + dry,
			kindBinding + guarded + "[]", kindBinding + recovery + "[]",
			kindPolicy + guarded + "[]", kindPolicy + recovery + "[]", kindBinding + guarded + "[]", kindBinding + recovery + "[]",
		}},
		"a policy is refused":  {map[string]error{kindPolicy: invalid}, v1alpha1.ReasonRejected, []string{kindPolicy + guarded + dry}},
		"a policy is others'":  {map[string]error{kindPolicy: conflict}, v1alpha1.ReasonConflict, []string{kindPolicy + guarded + dry}},
		"a binding is others'": {map[string]error{kindBinding: conflict}, v1alpha1.ReasonConflict, []string{kindPolicy + guarded + dry, kindPolicy + recovery + dry, kindBinding + guarded + dry}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, objectsOf(t, denies))
			s.refuse = tc.refuse
			_, refusal, err := s.apply(t.Context(), objectsOf(t, warns))
			if err != nil || tc.wantReason == "" != (refusal == nil) || refusal != nil && refusal.Reason != tc.wantReason {
				t.Errorf("refused %+v, %v; want %q", refusal, err, tc.wantReason)
			}
			if diff := cmp.Diff(tc.want, s.written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
	// Nothing is asked for what relaxes nothing.
	s := newServer(t, objectsOf(t, warns))
	if _, refusal, err := s.apply(t.Context(), objectsOf(t, denies)); err != nil || refusal != nil || len(s.written) != 4 {
		t.Errorf("written %v, refused %v, %v", s.written, refusal, err)
	}
}

// TestForbiddenLasts has what an API server forbids that has just started be no news.
func TestForbiddenLasts(t *testing.T) {
	t.Parallel()
	s := newServer(t, &policy.Objects{})
	objects := objectsOf(t, noBad().Obj())
	step := func(after time.Duration, refuse error, wantWait time.Duration, wantReason string) {
		t.Helper()
		s.clock.Step(after)
		s.refuse = map[string]error{"ValidatingAdmissionPolicy": refuse}
		result, err := s.enforce(t.Context(), key, objects, policy.Report{Generation: 1}, s.clock.Now())
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
