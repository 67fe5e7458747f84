package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Nothing is deleted: where the admission plugin OwnerReferencesPermissionEnforcement is on, as
// on OpenShift, only who may delete an object may say who owns it.
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=mainstay,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=mainstay-system,verbs=get

const (
	// lasting is how long what a rule in force refers to may be refused, or not be served,
	// before the rule is not enforced for it.
	lasting = policy.Lasting
	// behind is how long a cache that is known to be behind gets to catch up.
	behind = 2 * time.Second
)

// Objects tell what the API server serves, and what is known of it. Complete says that all
// that is served is known.
type Objects interface {
	Handle(informer.Handler)
	Discovered() bool
	Complete() bool
	Down(gv schema.GroupVersion) bool
	Paths() []informer.Resource
	Resources() []informer.Resource
	State(consumer string, gvr schema.GroupVersionResource) informer.State
}

// Certificates are what the API server is to trust.
type Certificates interface {
	// Bundle is empty while there is no certificate yet.
	Bundle() []byte
	OnChange(f func())
}

// Options of a Reconciler.
type Options struct {
	// Client reads rules, the configuration and the gates' record from the cache,
	// and writes.
	Client client.Client
	// Reader asks the API server.
	Reader       client.Reader
	Compiler     *expr.Compiler
	Metrics      *metrics.Metrics
	Clock        clock.PassiveClock
	Objects      Objects
	Certificates Certificates
	// Namespace of Mainstay.
	Namespace string
	Recovery  policy.Recovery
	// URL that the API server calls instead of the Service, without a path; empty
	// in a cluster.
	URL string
	// Off says that no replica serves the webhook: there are no entries then.
	Off bool
	// Consumer names the wishes that the webhook has of Objects for a generation of a rule.
	Consumer func(r *rule.Rule) string
	// InForce is what the webhook judges by for a rule, nil for nothing: a former
	// generation where the present one does not compile, does not need it, or refers to
	// what cannot be read yet.
	InForce func(key rule.Key) *rule.Rule
	// Policies speaks of the rules that do not need the webhook.
	Policies rulecontroller.Enforcement
}

// Reconciler keeps the entries. It runs on the leader only, warm on the others.
type Reconciler struct {
	Options
	rulecontroller.Reports
	// blockedSince is since when a rule in force cannot be judged by, and kept are those
	// of which a former generation is in force.
	blockedSince map[rule.Key]time.Time
	kept         sets.Set[rule.Key]
	// compiled are the rules as they were seen last, so that not all are compiled for each
	// change of one.
	compiled map[rule.Key]compiled
	// unconditional are the entries whose rules' match conditions the API server
	// does not take.
	unconditional sets.Set[string]
	moves         moves
	handover      rulecontroller.Handover
	refusals      rulecontroller.Refusals
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// New returns a Reconciler.
func New(opts Options) *Reconciler {
	return &Reconciler{Options: opts}
}

// Reconcile makes the entries what all rules say together.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	rules, seen, err := r.read(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	record, err := r.unlocked(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	live := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	err = r.Client.Get(ctx, client.ObjectKey{Name: gate.ConfigurationName}, live)
	if apierrors.IsNotFound(err) {
		r.refuse(rules, v1alpha1.ReasonNoWebhook, fmt.Sprintf("there is no ValidatingWebhookConfiguration %s: it comes with manifests/base, and somebody deleted it", gate.ConfigurationName))
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read ValidatingWebhookConfiguration %s: %w", gate.ConfigurationName, err)
	}
	wanted, used := r.entries(live, record, rules)
	if wanted == nil {
		return ctrl.Result{}, nil // what is missing says when it is there
	}
	again := ctrl.Result{}
	anew := func() []admissionregistrationv1.ValidatingWebhook {
		wanted, _ := r.entries(live, record, rules)
		return wanted
	}
	if record == nil { // who opened all gates does not wait
		sure, err := r.cautious(ctx, live, wanted, used, rules, seen)
		if err != nil {
			return ctrl.Result{}, err
		}
		if sure != nil {
			again.RequeueAfter, anew = behind, sure
			wanted = anew()
		}
	}
	if record == nil && drops(wanted, live.Webhooks) {
		// The cache may not have heard yet who has opened all gates.
		if record, err = gate.Recorded(ctx, r.Reader, r.Namespace); err != nil {
			return ctrl.Result{}, err
		}
		if record != nil {
			return ctrl.Result{RequeueAfter: behind}, nil
		}
	}
	wanted, refusal, err := r.put(ctx, live, wanted, anew)
	switch {
	case errors.Is(err, errStale):
		return ctrl.Result{RequeueAfter: behind}, nil
	case err != nil:
		return ctrl.Result{}, err
	case refusal != nil && again.RequeueAfter > 0:
		return again, nil // there may be no room for what comes beside what goes
	case refusal != nil:
		return r.refused(ctx, live, rules, wanted, refusal)
	}
	r.refusals.Forget(rule.Key{})
	if again.RequeueAfter == 0 { // or what moves has not moved yet
		r.moves.written(r.Clock.Now())
		again.RequeueAfter = r.moves.next(r.Clock.Now())
	}
	r.tell(rules)
	for _, rule := range rules {
		again.RequeueAfter = sooner(again.RequeueAfter, rule.again)
	}
	return again, nil
}

// sooner is the shorter of two waits. The second is none where it is not positive.
func sooner(a, b time.Duration) time.Duration {
	if b > 0 && (a == 0 || b < a) {
		return b
	}
	return a
}

// refused says why the entries cannot be what they should, and has what no rule has any more
// go all the same: a rule that is suspended or gone must refuse nothing because of a field
// that is somebody else's. An entry from which a rule moves stays until the other one is there,
// and a new leader does not know which those are.
func (r *Reconciler) refused(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, rules []*ruled,
	wanted []admissionregistrationv1.ValidatingWebhook, refusal *policy.Refusal,
) (ctrl.Result, error) {
	again := r.refusedAll(rules, refusal)
	if refusal.Reason == v1alpha1.ReasonForbidden {
		return again, nil
	}
	switch waits := drops(wanted, live.Webhooks); {
	case waits && r.moves.of == nil:
		return again, nil
	case !waits:
		// What moved has moved.
		r.moves.written(r.Clock.Now())
		again.RequeueAfter = sooner(again.RequeueAfter, r.moves.next(r.Clock.Now()))
	}
	err := r.open(ctx, live, wanted)
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: behind}, nil
	}
	return again, err
}

// refusedAll says of all rules that the entries cannot be what they should. What is
// forbidden is reported once it has lasted: until then what was said of them holds.
func (r *Reconciler) refusedAll(rules []*ruled, refusal *policy.Refusal) ctrl.Result {
	wait := pause
	if refusal.Reason == v1alpha1.ReasonForbidden {
		var lasts bool
		if wait, lasts = r.refusals.Again(rule.Key{}, r.Clock.Now()); !lasts {
			return ctrl.Result{RequeueAfter: wait}
		}
	} else {
		r.refusals.Forget(rule.Key{})
	}
	r.refuse(rules, refusal.Reason, refusal.Message)
	return ctrl.Result{RequeueAfter: wait}
}

// cautious is how the entries are computed where the cache has other rules than the API server:
// what is live stays, and what comes is only by rules that are not stale, as one of those may be
// gone, or suspended, and an old cache would have it refuse again. It is nil where there is no
// need to.
func (r *Reconciler) cautious(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, wanted []admissionregistrationv1.ValidatingWebhook,
	used []*rule.Rule, rules []*ruled, seen map[rule.Key]version,
) (func() []admissionregistrationv1.ValidatingWebhook, error) {
	if !drops(live.Webhooks, wanted) && !drops(wanted, live.Webhooks) {
		return nil, nil //nolint:nilnil // there is none
	}
	stale, err := r.stale(ctx, seen)
	if err != nil || stale.Len() == 0 {
		return nil, err
	}
	for _, one := range rules {
		if stale.Has(one.key) && !one.inForce && one.report.Enforced == metav1.ConditionTrue {
			one.report.Enforced, one.report.Reason = metav1.ConditionUnknown, v1alpha1.ReasonSyncing
			one.report.Message = "waits for the rule as the API server has it now"
		}
	}
	sure := slices.DeleteFunc(slices.Clone(used), func(one *rule.Rule) bool { return stale.Has(one.Key()) })
	return func() []admissionregistrationv1.ValidatingWebhook {
		bundle, opts := r.Certificates.Bundle(), r.options(live)
		comes := append(policy.CompileWebhooks(sure, opts).Entries, policy.ValidateWebhook(opts))
		return trusted(keeping(live.Webhooks, comes, bundle), live, bundle)
	}, nil
}

// unlocked returns who has opened all gates, nil where nobody has.
func (r *Reconciler) unlocked(ctx context.Context) (*gate.Record, error) {
	record, err := gate.Opened(ctx, r.Client, r.Reader, r.Namespace)
	if err != nil {
		return nil, err
	}
	open := 0.0
	if record != nil {
		open = 1
	}
	r.Metrics.Unlocked.Set(open)
	return record, nil
}

// options of a compilation beside what is live.
func (r *Reconciler) options(live *admissionregistrationv1.ValidatingWebhookConfiguration) policy.WebhookOptions {
	bundle := r.Certificates.Bundle()
	opts := policy.WebhookOptions{
		Recovery: r.Recovery,
		Served:   append(r.Objects.Paths(), asked(live.Webhooks, r.Objects.Down)...),
		Client:   r.client(bundle), BundleSize: certs.BundleSize(bundle), Refused: r.unconditional, Live: sets.Set[string]{},
	}
	for i := range live.Webhooks {
		opts.Live.Insert(live.Webhooks[i].Name)
	}
	return opts
}

// entries are what is to be in the configuration, by the rules that are used, and in the
// reports of the rules what that means for each. They are nil while it cannot be said.
func (r *Reconciler) entries(live *admissionregistrationv1.ValidatingWebhookConfiguration, record *gate.Record, rules []*ruled) (
	wanted []admissionregistrationv1.ValidatingWebhook, used []*rule.Rule,
) {
	if r.Off {
		for _, rule := range rules {
			rule.refused(v1alpha1.ReasonNeedsWebhook, fmt.Sprintf("the API server cannot evaluate %s, and this Mainstay runs without its webhook (--webhook-addr)",
				strings.Join(rule.rule.Beyond(), " and ")))
		}
		return []admissionregistrationv1.ValidatingWebhook{}, nil
	}
	if !r.Objects.Discovered() {
		// Every rule would seem to match nothing.
		r.holdAll(rules, "waits for what the API server serves")
		return nil, nil
	}
	bundle, opts := r.Certificates.Bundle(), r.options(live)
	out := []admissionregistrationv1.ValidatingWebhook{policy.ValidateWebhook(opts)}
	if record != nil {
		r.moves = moves{now: map[rule.Key]string{}}
		for _, rule := range rules {
			rule.refused(v1alpha1.ReasonUnlocked, record.String()+"; mainstay lock closes the gates again")
		}
		return trusted(out, live, bundle), nil
	}
	used = r.usable(rules)
	compiled := policy.CompileWebhooks(used, opts)
	for _, rule := range rules {
		switch {
		case compiled.NoRoom.Has(rule.key):
			rule.refused(v1alpha1.ReasonRejected, fmt.Sprintf("ValidatingWebhookConfiguration %s is full: remove rules, or give more of them the same selectors and match conditions", gate.ConfigurationName))
		case len(bundle) == 0:
			rule.pending("waits for the certificate of the webhook")
		default:
			rule.enforcedBy(compiled.Of[rule.key], r.Objects.Complete() || !policy.Guarded(rule.rule, r.Recovery))
		}
	}
	out = append(compiled.Entries, out...)
	return trusted(r.moves.keep(compiled, out, live, bundle, r.Clock.Now()), live, bundle), used
}

// trusted are the entries as they can be without a certificate: one that has no bundle is
// never made, what there is keeps its own, and what no rule has any more goes.
func trusted(entries []admissionregistrationv1.ValidatingWebhook, live *admissionregistrationv1.ValidatingWebhookConfiguration, bundle []byte) []admissionregistrationv1.ValidatingWebhook {
	if len(bundle) > 0 {
		return entries
	}
	out := []admissionregistrationv1.ValidatingWebhook{}
	for i := range entries {
		if j := indexOf(live.Webhooks, entries[i].Name); j >= 0 {
			entries[i].ClientConfig = live.Webhooks[j].ClientConfig
			out = append(out, entries[i])
		}
	}
	return out
}

func indexOf(entries []admissionregistrationv1.ValidatingWebhook, name string) int {
	return slices.IndexFunc(entries, func(e admissionregistrationv1.ValidatingWebhook) bool { return e.Name == name })
}

// client is how the API server reaches a path, and what it trusts there.
func (r *Reconciler) client(bundle []byte) func(path string) admissionregistrationv1.WebhookClientConfig {
	return func(path string) admissionregistrationv1.WebhookClientConfig {
		out := admissionregistrationv1.WebhookClientConfig{CABundle: bundle}
		if r.URL != "" {
			out.URL = new(r.URL + path)
			return out
		}
		out.Service = &admissionregistrationv1.ServiceReference{Namespace: r.Namespace, Name: certs.ServiceName, Path: &path, Port: new(int32(443))}
		return out
	}
}

// owner is Mainstay's Namespace: what nobody serves any more goes with it.
func (r *Reconciler) owner(ctx context.Context) (metav1.OwnerReference, error) {
	namespace := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: r.Namespace}, namespace); err != nil {
		return metav1.OwnerReference{}, fmt.Errorf("read Namespace %s, which owns the webhook configuration: %w", r.Namespace, err)
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: r.Namespace, UID: namespace.UID}, nil
}
