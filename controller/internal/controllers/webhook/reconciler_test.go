package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

type trust string

func (t trust) Bundle() []byte  { return []byte(t) }
func (t trust) OnChange(func()) {}

// plane is an API server and its cache, which is what a test says.
type plane struct {
	*Reconciler
	clock *clocktesting.FakeClock
	// refuse is what the API server says of applies, stale of patches, and forbidden of the
	// Namespace.
	refuse, stale, forbidden error
	// foreign is a bundle that somebody else set: an apply that leaves it as it is meets no
	// conflict.
	foreign string
	// listed counts lists of rules that the API server was asked for.
	listed int
	// written are the entries of the last write.
	written []string
	live    *admissionregistrationv1.ValidatingWebhookConfiguration
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	out := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(out), v1alpha1.AddToScheme(out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// newPlane has an API server with a configuration and rules, and a cache with others.
func newPlane(t *testing.T, live *admissionregistrationv1.ValidatingWebhookConfiguration, cached, stored []client.Object) *plane {
	t.Helper()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{live: live, clock: clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "mainstay-system", UID: "1"}}
	api := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(append(slices.Clone(stored), namespace)...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if p.forbidden != nil && at.Name == namespace.Name {
				return p.forbidden
			}
			return c.Get(ctx, at, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
			p.listed++
			return c.List(ctx, into, opts...)
		},
	}).Build()
	cache := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(cached...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if config, ok := obj.(*admissionregistrationv1.ValidatingWebhookConfiguration); ok {
				p.live.DeepCopyInto(config)
				return nil
			}
			return c.Get(ctx, at, obj, opts...)
		},
		Apply: func(_ context.Context, _ client.WithWatch, obj runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			content, _ := obj.(interface{ UnstructuredContent() map[string]any })
			applied := &admissionregistrationv1.ValidatingWebhookConfiguration{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content.UnstructuredContent(), applied); err != nil {
				return err
			}
			if p.refuse != nil && (!apierrors.IsConflict(p.refuse) || !p.keeps(applied)) {
				return p.refuse
			}
			p.live, p.written = applied, nil
			for i := range p.live.Webhooks {
				p.written = append(p.written, p.live.Webhooks[i].Name)
			}
			return nil
		},
		Patch: func(_ context.Context, _ client.WithWatch, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
			if p.stale != nil {
				return p.stale
			}
			content, err := patch.Data(obj)
			if err != nil {
				return err
			}
			p.live.Webhooks = nil // a list is replaced as a whole
			return json.Unmarshal(content, p.live)
		},
	}).Build()
	p.Reconciler = New(Options{
		Client: cache, Reader: api, Compiler: compiler, Metrics: m, Clock: p.clock, Objects: stateOf{informer.State{Phase: informer.Synced}},
		Certificates: trust("a CA"), Namespace: namespace.Name, Recovery: policy.Recovery{Namespaces: []string{"kube-system"}},
		Consumer: func(*rule.Rule) string { return "" }, InForce: func(rule.Key) *rule.Rule { return nil },
	})
	return p
}

// keeps says whether what is applied has what somebody else set.
func (p *plane) keeps(applied *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	if p.foreign == "" {
		return false
	}
	for _, entry := range p.live.Webhooks {
		i := indexOf(applied.Webhooks, entry.Name)
		if i < 0 || string(applied.Webhooks[i].ClientConfig.CABundle) != p.foreign {
			return false
		}
	}
	return true
}

func (p *plane) reconcile(t *testing.T) ctrl.Result {
	t.Helper()
	result, err := p.Reconcile(t.Context(), ctrl.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func counting(name string, generation int64) *v1alpha1.ClusterRule {
	return builders.MakeClusterRule(name).UID("uid-1").Generation(generation).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
		Refer("pods", "v1", "Pod").ObjectLabels("app", fmt.Sprint(name, generation)).Validate("refs.pods.size() < 9", "").Obj()
}

func empty() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: gate.ConfigurationName, UID: "2"}}
}

// TestEntriesAreNotDroppedOnTheWordOfAnOldCache has a new leader, whose cache may be behind
// what a former one saw, ask the API server before it lets go of an entry.
func TestEntriesAreNotDroppedOnTheWordOfAnOldCache(t *testing.T) {
	t.Parallel()
	first, second, suspended := counting("a", 1), counting("a", 2), counting("a", 2)
	suspended.Spec.Suspend = true
	anew := counting("a", 1)
	anew.UID = "another"
	gone := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "ClusterRule"}}
	for name, tc := range map[string]struct {
		cached, stored []client.Object
		unserved       error
		want           bool // the entry goes
	}{
		"there is another rule":         {nil, []client.Object{first}, nil, false},
		"there is a later generation":   {[]client.Object{suspended}, []client.Object{counting("a", 3)}, nil, false},
		"it was made anew":              {[]client.Object{counting("a", 9)}, []client.Object{anew}, nil, false},
		"it is gone":                    {nil, nil, nil, true},
		"it is suspended":               {[]client.Object{suspended}, []client.Object{suspended}, nil, true},
		"it is another generation":      {[]client.Object{second}, []client.Object{second}, nil, true},
		"the kinds are gone, every one": {nil, nil, gone, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			former := newPlane(t, empty(), []client.Object{first}, []client.Object{first})
			former.reconcile(t)
			entry := former.written[0]
			lists := former.listed
			former.reconcile(t)
			if len(former.written) != 2 || former.listed != lists {
				t.Fatalf("written %v, and listed where nothing changed: %d", former.written, former.listed-lists)
			}

			p := newPlane(t, former.live, tc.cached, tc.stored)
			if tc.unserved != nil {
				p.Reader = interceptor.NewClient(p.Reader.(client.WithWatch), interceptor.Funcs{
					List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
						return tc.unserved
					},
				})
			}
			// At first it stays, as one does that a former leader left.
			p.reconcile(t)
			p.clock.Step(policy.Settling)
			result := p.reconcile(t)
			if has := indexOf(p.live.Webhooks, entry) >= 0; has == tc.want || !tc.want && result.RequeueAfter != behind {
				t.Errorf("it has the entry: %t, again after %s", has, result.RequeueAfter)
			}
		})
	}
}

// TestEntriesAreNotMadeOnTheWordOfAnOldCache has a leader that was paused ask the API server
// before it has a rule refuse that its successor knows to be gone, and add what is sure.
func TestEntriesAreNotMadeOnTheWordOfAnOldCache(t *testing.T) {
	t.Parallel()
	rule, other := counting("a", 1), counting("b", 1)
	suspended := counting("a", 2)
	suspended.Spec.Suspend = true
	anew := counting("a", 1)
	anew.UID = "another"
	// It shares the entry of other, which asks about something else.
	beside := counting("b", 1)
	beside.Name, beside.UID = "c", "uid-2"
	beside.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"services"}
	comes := counting("b", 1)
	comes.Name, comes.UID = "d", "uid-3"
	comes.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"configmaps"}
	for name, tc := range map[string]struct {
		cached, stored []client.Object
		want           []string // the rules that are asked about, by their resources
		wantUnsure     bool
	}{
		"it is there":               {[]client.Object{rule, other}, []client.Object{rule, other}, []string{"pods", "pods"}, false},
		"it is gone":                {[]client.Object{rule, other}, []client.Object{other}, []string{"pods"}, true},
		"it is suspended":           {[]client.Object{rule, other}, []client.Object{suspended, other}, []string{"pods"}, true},
		"it was made anew":          {[]client.Object{rule, other}, []client.Object{anew, other}, []string{"pods"}, true},
		"it shares another's entry": {[]client.Object{beside, other}, []client.Object{other}, []string{"pods"}, true},
		"another one is there":      {[]client.Object{other}, []client.Object{rule, other}, []string{"pods"}, false},
		"it is gone, and one comes": {[]client.Object{beside, other, comes}, []client.Object{other, comes}, []string{"configmaps", "pods"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newPlane(t, empty(), []client.Object{other}, []client.Object{other})
			before.reconcile(t)
			p := newPlane(t, before.live, tc.cached, tc.stored)
			result := p.reconcile(t)
			var got []string
			for _, entry := range p.live.Webhooks {
				for _, of := range entry.Rules {
					if strings.HasSuffix(entry.Name, policy.EntrySuffix) {
						got = append(got, of.Resources...)
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("asked about (-want +got):\n%s", diff)
			}
			for _, obj := range tc.stored {
				if report, said := p.Report(rulecontroller.KeyOf(obj)); said && obj.GetName() != rule.Name && report.Enforced != metav1.ConditionTrue {
					t.Errorf("of %s, which the cache has as it is, it is said %+v", obj.GetName(), report)
				}
			}
			report, _ := p.Report(rulecontroller.KeyOf(tc.cached[0]))
			if unsure := report.Reason == v1alpha1.ReasonSyncing; unsure != tc.wantUnsure || unsure && result.RequeueAfter != behind {
				t.Errorf("again after %s, and it is said %+v", result.RequeueAfter, report)
			}
		})
	}
}

// TestWhatComesWaitsForNothingThatGoes has a cache that is behind with one rule and has
// another that no entry asks for yet. Where the API server has no room for both, nothing is
// said of any rule.
func TestWhatComesWaitsForNothingThatGoes(t *testing.T) {
	t.Parallel()
	first := counting("a", 1)
	former := newPlane(t, empty(), []client.Object{first}, []client.Object{first})
	former.reconcile(t)
	old := former.written[0]

	other := counting("b", 1)
	other.Spec.FailurePolicy = new(admissionregistrationv1.Ignore)
	suspended := counting("a", 2)
	suspended.Spec.Suspend = true
	p := newPlane(t, former.live, []client.Object{suspended, other}, []client.Object{counting("a", 3), other})
	// What is there is a former leader's: it goes no sooner than some seconds after what comes.
	for range 2 {
		p.reconcile(t)
		p.clock.Step(policy.Settling)
	}
	if result := p.reconcile(t); result.RequeueAfter != behind || indexOf(p.live.Webhooks, old) < 0 || len(p.written) != 3 {
		t.Errorf("entries %v, again after %s; want %s, one more, and that about Mainstay's own kinds", p.written, result.RequeueAfter, old)
	}

	p = newPlane(t, former.live, []client.Object{suspended, other}, []client.Object{counting("a", 3), other})
	p.refuse = apierrors.NewRequestEntityTooLargeError("too large")
	p.moves.of = map[rule.Key]string{} // not the first time
	if result := p.reconcile(t); result.RequeueAfter != behind || len(p.written) > 0 {
		t.Errorf("without room: wrote %v, again after %s", p.written, result.RequeueAfter)
	}
	if report, said := p.Report(rulecontroller.KeyOf(other)); said {
		t.Errorf("without room it is said of %s: %+v", other.Name, report)
	}
}

// TestWhatNoRuleHasGoesPastAConflict has a field that is somebody else's keep no rule that
// is suspended or gone in force, and open nothing that a rule has: what an edit moves waits.
func TestWhatNoRuleHasGoesPastAConflict(t *testing.T) {
	t.Parallel()
	about := func(name, resource string) *v1alpha1.ClusterRule {
		return builders.MakeClusterRule(name).UID(types.UID("uid-"+name)).Generation(1).Modes(v1alpha1.ModeAdmission).Match("", "v1", resource).
			Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "").Obj()
	}
	suspended := func(of *v1alpha1.ClusterRule) *v1alpha1.ClusterRule {
		out := of.DeepCopy()
		out.Generation, out.Spec.Suspend = 2, true
		return out
	}
	alone, pods, services := counting("a", 1), about("b", "pods"), about("c", "services")
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Message: "conflict with backup"}}, "conflict")
	too := apierrors.NewRequestEntityTooLargeError("too large")
	no := apierrors.NewForbidden(schema.GroupResource{Resource: "validatingwebhookconfigurations"}, gate.ConfigurationName, errors.New("no"))
	for name, tc := range map[string]struct {
		now    []client.Object
		refuse error
		want   []string // what is asked about, an entry each
		anew   []string // where a new leader does not know what it may let go
	}{
		"nothing changed":                  {[]client.Object{alone, pods, services}, conflict, []string{"pods", "pods services"}, nil},
		"one is suspended":                 {[]client.Object{suspended(alone), pods, services}, conflict, []string{"pods services"}, nil},
		"one is suspended, and too large":  {[]client.Object{suspended(alone), pods, services}, too, []string{"pods services"}, nil},
		"one is suspended, and forbidden":  {[]client.Object{suspended(alone), pods, services}, no, []string{"pods", "pods services"}, nil},
		"one of an entry is suspended":     {[]client.Object{alone, pods, suspended(services)}, conflict, []string{"pods", "pods"}, nil},
		"all are gone":                     {nil, conflict, []string{}, nil},
		"one moves, and another is gone":   {[]client.Object{counting("a", 2), pods}, conflict, []string{"pods", "pods"}, []string{"pods", "pods services"}},
		"one comes, and another is gone":   {[]client.Object{counting("d", 1), pods, services}, conflict, []string{"pods services"}, []string{"pods", "pods services"}},
		"one asks about more in its entry": {[]client.Object{about("b", "configmaps"), services}, conflict, []string{"pods services"}, []string{"pods", "pods services"}},
	} {
		for _, leader := range []string{"the same leader", "a new leader"} {
			t.Run(name+", "+leader, func(t *testing.T) {
				t.Parallel()
				before := []client.Object{alone, pods, services}
				former := newPlane(t, empty(), before, before)
				former.reconcile(t)
				p := newPlane(t, former.live, tc.now, tc.now)
				if leader == "the same leader" {
					p.moves = former.moves
				}
				for i := range p.live.Webhooks {
					p.live.Webhooks[i].ClientConfig.CABundle = []byte("another CA")
				}
				p.refuse, p.foreign = tc.refuse, "another CA"
				for range 4 {
					p.reconcile(t)
					p.clock.Step(policy.Settling)
				}
				got := []string{}
				for _, entry := range p.live.Webhooks {
					if !strings.HasSuffix(entry.Name, policy.EntrySuffix) {
						continue
					}
					var asked []string
					for _, of := range entry.Rules {
						asked = append(asked, of.Resources...)
					}
					slices.Sort(asked)
					got = append(got, strings.Join(asked, " "))
				}
				slices.Sort(got)
				want := tc.want
				if leader == "a new leader" && tc.anew != nil {
					want = tc.anew
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("asked about (-want +got):\n%s", diff)
				}
			})
		}
	}
	// What somebody writes meanwhile is looked at again.
	p := newPlane(t, empty(), []client.Object{alone}, []client.Object{alone})
	p.reconcile(t)
	p.refuse, p.stale = conflict, apierrors.NewConflict(schema.GroupResource{Resource: "validatingwebhookconfigurations"}, gate.ConfigurationName, errors.New("modified"))
	for _, of := range []client.Writer{p.Client, p.Reader.(client.Client)} {
		if err := of.Delete(t.Context(), alone.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	p.reconcile(t)
	p.clock.Step(policy.Settling)
	if result := p.reconcile(t); result.RequeueAfter != behind || len(p.live.Webhooks) != 2 {
		t.Errorf("%d entries, again after %s", len(p.live.Webhooks), result.RequeueAfter)
	}
}

// TestGatesThatWereOpenedStayOpen has a leader whose cache has not heard of it close none.
func TestGatesThatWereOpenedStayOpen(t *testing.T) {
	t.Parallel()
	a := counting("a", 1)
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "mainstay-system", Name: gate.RecordName}}
	p := newPlane(t, empty(), []client.Object{a}, []client.Object{a, record})
	if result := p.reconcile(t); result.RequeueAfter != behind || len(p.written) > 0 {
		t.Errorf("wrote %v, again after %s", p.written, result.RequeueAfter)
	}
	if err := p.Reader.(client.Client).Delete(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if p.reconcile(t); len(p.written) != 2 {
		t.Errorf("closed again, it wrote %v", p.written)
	}
}

// TestRulesAreCompiledOnce has a rule that did not change be compiled for no change of another.
func TestRulesAreCompiledOnce(t *testing.T) {
	t.Parallel()
	objs := []client.Object{counting("a", 1), counting("b", 1), counting("c", 1)}
	p := newPlane(t, empty(), objs, objs)
	compiled := func() uint64 { return p.Compiler.Stats().Hits + p.Compiler.Stats().Misses }
	for range 3 {
		p.reconcile(t)
	}
	if got := compiled(); got != 3 {
		t.Errorf("compiled %d times, want each of 3 rules once", got)
	}
	edited := &v1alpha1.ClusterRule{}
	if err := p.Client.Get(t.Context(), client.ObjectKey{Name: "b"}, edited); err != nil {
		t.Fatal(err)
	}
	edited.Generation = 2
	if err := p.Client.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	p.reconcile(t)
	if got := compiled(); got != 4 {
		t.Errorf("compiled %d times after one was edited, want 4", got)
	}
}

// TestForbiddenLasts has what an API server forbids that has just started be no news.
func TestForbiddenLasts(t *testing.T) {
	t.Parallel()
	no := apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "mainstay-system", errors.New("no roles yet"))
	for name, set := range map[string]func(p *plane, err error){
		"the configuration": func(p *plane, err error) { p.refuse = err },
		"the Namespace":     func(p *plane, err error) { p.forbidden = err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := counting("a", 1)
			p := newPlane(t, empty(), []client.Object{a}, []client.Object{a})
			key := rule.Key{Kind: rule.KindClusterRule, Name: "a"}
			says := func(want string) {
				t.Helper()
				if report, _ := p.Report(key); report.Reason != want {
					t.Errorf("reported %+v, want %q", report, want)
				}
			}
			set(p, no)
			if result := p.reconcile(t); result.RequeueAfter != 10*time.Second {
				t.Errorf("again after %s", result.RequeueAfter)
			}
			says("")
			set(p, nil)
			p.clock.Step(10 * time.Second)
			p.reconcile(t)
			says(v1alpha1.ReasonSucceeded)
			set(p, no)
			p.live = empty()
			p.reconcile(t)
			p.clock.Step(lasting - time.Second)
			p.reconcile(t)
			says(v1alpha1.ReasonSucceeded)
			p.clock.Step(time.Second)
			if result := p.reconcile(t); result.RequeueAfter != lasting {
				t.Errorf("again after %s", result.RequeueAfter)
			}
			says(v1alpha1.ReasonForbidden)
		})
	}
}

// TestNothingToJudge has the policies of a former generation be told to go where there is
// nothing to judge by a rule, and not where that may pass.
func TestNothingToJudge(t *testing.T) {
	t.Parallel()
	about := func(group, resource string) *v1alpha1.ClusterRule {
		return builders.MakeClusterRule("a").UID("uid-1").Generation(1).Modes(v1alpha1.ModeAdmission).Match(group, "v1", resource).
			Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "").Obj()
	}
	in := func(namespace string) *v1alpha1.Rule {
		return builders.MakeRule(namespace, "a").UID("uid-1").Generation(1).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
			Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "").Obj()
	}
	ofSystem := about("", "pods")
	ofSystem.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}}
	read, unserved := stateOf{informer.State{Phase: informer.Synced}}, stateOf{informer.State{Phase: informer.Absent}}
	for name, tc := range map[string]struct {
		rule    client.Object
		objects Objects
		refuse  error
		reason  string
		want    bool
	}{
		"it is judged":                         {about("", "pods"), read, nil, v1alpha1.ReasonSucceeded, false},
		"of a namespace, it is judged":         {in("shop"), read, nil, v1alpha1.ReasonSucceeded, false},
		"of a recovery namespace":              {in("kube-system"), incomplete{read}, nil, v1alpha1.ReasonKindNotFound, true},
		"about a recovery namespace":           {ofSystem, read, nil, v1alpha1.ReasonKindNotFound, true},
		"it is about nodes":                    {about("", "nodes"), read, nil, v1alpha1.ReasonKindNotFound, true},
		"about nodes, not all is known":        {about("", "nodes"), incomplete{read}, nil, v1alpha1.ReasonKindNotFound, true},
		"about what is not served":             {about("example.com", "widgets"), read, nil, v1alpha1.ReasonKindNotFound, true},
		"about what may be served":             {about("example.com", "widgets"), incomplete{read}, nil, v1alpha1.ReasonKindNotFound, false},
		"what it refers to is not":             {about("", "nodes"), unserved, nil, v1alpha1.ReasonKindNotFound, false},
		"about nodes, and nothing was written": {about("", "nodes"), read, apierrors.NewInvalid(schema.GroupKind{}, "", nil), v1alpha1.ReasonRejected, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t, empty(), []client.Object{tc.rule}, []client.Object{tc.rule})
			p.Objects, p.refuse = tc.objects, tc.refuse
			p.reconcile(t)
			if report, _ := p.Report(rulecontroller.KeyOf(tc.rule)); report.Reason != tc.reason || report.Nothing != tc.want {
				t.Errorf("reported %+v; want %q, nothing to judge: %t", report, tc.reason, tc.want)
			}
		})
	}
}

// TestStaleConfigurationIsLookedAtAgain has one that changed meanwhile be no busy loop.
func TestStaleConfigurationIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	p := newPlane(t, empty(), []client.Object{counting("a", 1)}, nil)
	p.refuse = apierrors.NewConflict(schema.GroupResource{Resource: "validatingwebhookconfigurations"}, gate.ConfigurationName, errors.New("modified"))
	if result := p.reconcile(t); result.RequeueAfter != 2*time.Second {
		t.Errorf("again after %s", result.RequeueAfter)
	}
}

// TestWhatIsInForceIsOfOneGeneration has the word of a former leader count for the generation
// that it was about.
func TestWhatIsInForceIsOfOneGeneration(t *testing.T) {
	t.Parallel()
	type flags struct{ InForce, Before bool }
	p := newPlane(t, empty(), nil, nil)
	of := func(enforcement v1alpha1.Enforcement, status metav1.ConditionStatus, generation int64) flags {
		obj := counting("a", 2)
		obj.Status.Enforcement = enforcement
		obj.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionEnforced, Status: status, ObservedGeneration: generation}}
		one := p.take(obj)
		return flags{one.inForce, one.before}
	}
	got := []flags{
		of(v1alpha1.EnforcementWebhook, metav1.ConditionTrue, 2), of(v1alpha1.EnforcementWebhook, metav1.ConditionTrue, 1),
		of(v1alpha1.EnforcementWebhook, metav1.ConditionFalse, 2), of(v1alpha1.EnforcementInProcess, metav1.ConditionTrue, 1),
	}
	if diff := cmp.Diff([]flags{{true, true}, {false, true}, {}, {}}, got); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
	// What it says meanwhile is not what it forgets by.
	p.kept = sets.New(rule.Key{Kind: rule.KindClusterRule, Name: "a"})
	if after := of(v1alpha1.EnforcementWebhook, metav1.ConditionFalse, 2); !after.Before {
		t.Errorf("%+v", after)
	}
	p.kept = nil
	p.holdAll([]*ruled{{key: rule.Key{Kind: rule.KindClusterRule, Name: "a"}, before: true}}, "waits")
	if after := of(v1alpha1.EnforcementWebhook, metav1.ConditionUnknown, 2); !after.Before {
		t.Errorf("%+v", after)
	}
}

// TestNewCAPushesNoRuleOut has a configuration that is full before a CA is renewed be as full
// after it.
func TestNewCAPushesNoRuleOut(t *testing.T) {
	t.Parallel()
	var objs []client.Object
	for i := range 160 {
		r := counting(fmt.Sprintf("r%03d", i), 1)
		r.Spec.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "long", Expression: strings.Repeat(" ", 4000) + "true"}}
		objs = append(objs, r)
	}
	p := newPlane(t, empty(), objs, objs)
	p.Compiler, _ = expr.NewCompiler(200)
	entries := func(bundle int) int {
		p.Certificates = trust(strings.Repeat("x", bundle))
		p.reconcile(t)
		return len(p.written)
	}
	one, three := entries(700), entries(3*700)
	if one != three || one < 100 || one > 160 {
		t.Errorf("%d entries with one CA, %d with three", one, three)
	}
}
