package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// pause is how long what the API server refused, or another manager owns, is
// left alone.
const pause = 5 * time.Minute

// errStale is wrapped where the configuration is another one than the cache had: its
// event comes.
var errStale = errors.New("changed meanwhile")

// put has the API server have the entries, those of rules whose match conditions it does not
// take without them: they are computed anew then. It returns what it should have in the end,
// and why it has not.
func (r *Reconciler) put(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration,
	wanted []admissionregistrationv1.ValidatingWebhook, anew func() []admissionregistrationv1.ValidatingWebhook,
) ([]admissionregistrationv1.ValidatingWebhook, *policy.Refusal, error) {
	owner, err := r.owner(ctx)
	if apierrors.IsForbidden(err) {
		return wanted, &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: err.Error()}, nil
	}
	if err != nil {
		return wanted, nil, err
	}
	refusal, err := r.apply(ctx, live, owner, wanted)
	if err != nil || refusal == nil || refusal.Reason != v1alpha1.ReasonRejected {
		return wanted, refusal, err
	}
	if r.unconditional, err = r.refusedAlone(ctx, live, owner, wanted); err != nil || len(r.unconditional) == 0 {
		return wanted, refusal, err
	}
	wanted = anew()
	refusal, err = r.apply(ctx, live, owner, wanted)
	return wanted, refusal, err
}

// open takes what no rule has any more out of the configuration, and adds nothing. Entries go by
// a patch: an apply leaves one standing in which somebody else owns a field. What an entry asks
// about is narrowed by an apply of all the rest as it is, which conflicts with nobody: a patch
// would make its rules another manager's.
func (r *Reconciler) open(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, wanted []admissionregistrationv1.ValidatingWebhook) error {
	left, goes, narrows := withoutIdle(live.Webhooks, wanted)
	switch {
	case goes:
		return r.remove(ctx, live, left)
	case narrows:
		owner, err := r.owner(ctx)
		if err != nil {
			return err
		}
		_, _, err = r.write(ctx, configuration(live, owner, left))
		return err
	}
	return nil
}

// withoutIdle are the live entries without those that are not wanted, or where there is none,
// with what others ask about no more than is wanted. One that is to ask about something new, too,
// stays as it is.
func withoutIdle(live, wanted []admissionregistrationv1.ValidatingWebhook) (left []admissionregistrationv1.ValidatingWebhook, goes, narrows bool) {
	left = []admissionregistrationv1.ValidatingWebhook{}
	for i := range live {
		if strings.HasSuffix(live[i].Name, policy.EntrySuffix) && indexOf(wanted, live[i].Name) < 0 {
			goes = true
			continue
		}
		left = append(left, *live[i].DeepCopy())
	}
	if goes {
		return left, true, false
	}
	for i := range left {
		j := indexOf(wanted, left[i].Name)
		if j >= 0 && drops(left[i:i+1], wanted) && !drops(wanted[j:j+1], live) {
			left[i].Rules, narrows = wanted[j].Rules, true
		}
	}
	return left, false, narrows
}

// remove leaves the entries that are given. errStale says that the rest is to be looked at anew.
func (r *Reconciler) remove(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, left []admissionregistrationv1.ValidatingWebhook) error {
	patch, err := gate.PatchKeeping(live, left)
	if err != nil {
		return err
	}
	err = r.Client.Patch(ctx, live.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(status.FieldManager))
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take webhooks that no rule has any more out of ValidatingWebhookConfiguration %s: %w", live.Name, err)
	}
	return errStale
}

// drops says whether entries of rules that the API server asks by are to go, or to ask about
// less.
func drops(live, wanted []admissionregistrationv1.ValidatingWebhook) bool {
	return slices.ContainsFunc(live, func(entry admissionregistrationv1.ValidatingWebhook) bool {
		if !strings.HasSuffix(entry.Name, policy.EntrySuffix) {
			return false
		}
		i := indexOf(wanted, entry.Name)
		return i < 0 || slices.ContainsFunc(entry.Rules, func(asked admissionregistrationv1.RuleWithOperations) bool {
			return !asks(&wanted[i], asked)
		})
	})
}

// keeping are the wanted entries, with those beside them that are to go, and with what others
// are to ask about no more.
func keeping(live, wanted []admissionregistrationv1.ValidatingWebhook, bundle []byte) []admissionregistrationv1.ValidatingWebhook {
	for i := range live {
		if !strings.HasSuffix(live[i].Name, policy.EntrySuffix) {
			continue
		}
		entry := live[i].DeepCopy()
		if len(bundle) > 0 {
			entry.ClientConfig.CABundle = bundle
		}
		wanted = beside(wanted, entry)
	}
	return wanted
}

// beside are entries with another one, or where there is one of its name, with what that asks
// about.
func beside(entries []admissionregistrationv1.ValidatingWebhook, another *admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.ValidatingWebhook {
	i := indexOf(entries, another.Name)
	if i < 0 {
		return append(entries, *another)
	}
	for _, asked := range another.Rules {
		if !asks(&entries[i], asked) {
			entries[i].Rules = append(entries[i].Rules, asked)
		}
	}
	return entries
}

// asks says whether an entry asks about something, and maybe more beside it.
func asks(entry *admissionregistrationv1.ValidatingWebhook, about admissionregistrationv1.RuleWithOperations) bool {
	have := sets.New(questions(about)...)
	for _, rule := range entry.Rules {
		have.Delete(questions(rule)...)
	}
	return have.Len() == 0
}

// questions are what a rule of an entry asks about, one by one.
func questions(rule admissionregistrationv1.RuleWithOperations) []question {
	var out []question
	scope := ptr.Deref(rule.Scope, admissionregistrationv1.AllScopes)
	for _, operation := range rule.Operations {
		for _, group := range rule.APIGroups {
			for _, version := range rule.APIVersions {
				for _, resource := range rule.Resources {
					out = append(out, question{scope, operation, group, version, resource})
				}
			}
		}
	}
	return out
}

// asked are the resources that entries ask about of groups and versions that are down. What the
// API server serves of those, a leader that is new cannot know otherwise: its gates would open.
func asked(live []admissionregistrationv1.ValidatingWebhook, down func(schema.GroupVersion) bool) []rule.APIResource {
	var out []rule.APIResource
	for i := range live {
		for _, about := range live[i].Rules {
			for _, q := range questions(about) {
				if gv := (schema.GroupVersion{Group: q.group, Version: q.version}); down(gv) {
					out = append(out, rule.APIResource{
						GroupVersionResource: gv.WithResource(q.resource), Preferred: true, Namespaced: q.scope == admissionregistrationv1.NamespacedScope,
					})
				}
			}
		}
	}
	return out
}

type question struct {
	scope                    admissionregistrationv1.ScopeType
	operation                admissionregistrationv1.OperationType
	group, version, resource string
}

// stale are the rules of which the cache has another version than the API server, or which only
// one of them has: that of a new leader may be behind what a former one saw, and that of one
// that was paused behind what its successor did.
func (r *Reconciler) stale(ctx context.Context, seen map[rule.Key]version) (sets.Set[rule.Key], error) {
	objs, err := rulecontroller.List(ctx, r.Reader)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return sets.Set[rule.Key]{}, nil // the kinds are not served any more
	}
	if err != nil {
		return nil, err
	}
	out, live := sets.Set[rule.Key]{}, versions(objs)
	for key, at := range live {
		if seen[key] != at {
			out.Insert(key)
		}
	}
	for key := range seen {
		if _, there := live[key]; !there {
			out.Insert(key)
		}
	}
	return out, nil
}

// apply writes the entries where the cache has others. It returns why they cannot
// be what they should.
func (r *Reconciler) apply(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, owner metav1.OwnerReference,
	wanted []admissionregistrationv1.ValidatingWebhook,
) (*policy.Refusal, error) {
	want := configuration(live, owner, wanted)
	if same(live, want) {
		return nil, nil //nolint:nilnil // neither refused nor failed
	}
	refusal, now, err := r.write(ctx, want)
	if refusal != nil || err != nil {
		return refusal, err
	}
	if !same(now, want) {
		return r.conflict("it also has what somebody else set", differing(now, want)), nil
	}
	return nil, nil //nolint:nilnil // neither refused nor failed
}

// refusedAlone are the names of the entries that the API server refuses by themselves for
// their rules' match conditions, and of those that it did before: one rule's must not keep
// all others from being written.
func (r *Reconciler) refusedAlone(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, owner metav1.OwnerReference,
	wanted []admissionregistrationv1.ValidatingWebhook,
) (sets.Set[string], error) {
	refused := sets.Set[string]{}
	for i := range wanted {
		if r.unconditional.Has(wanted[i].Name) {
			refused.Insert(wanted[i].Name)
			continue
		}
		if j := indexOf(live.Webhooks, wanted[i].Name); j >= 0 && equality.Semantic.DeepEqual(live.Webhooks[j], wanted[i]) {
			continue
		}
		refusal, _, err := r.write(ctx, configuration(live, owner, wanted[i:i+1]), client.DryRunAll)
		if err != nil {
			return r.unconditional, err
		}
		if refusal != nil && refusal.Reason == v1alpha1.ReasonRejected {
			refused.Insert(wanted[i].Name)
		}
	}
	return refused, nil
}

// configuration is the object with entries. What it was computed from is in it: one that
// was deleted meanwhile is not made again, and what another leader wrote meanwhile stays.
func configuration(live *admissionregistrationv1.ValidatingWebhookConfiguration, owner metav1.OwnerReference,
	entries []admissionregistrationv1.ValidatingWebhook,
) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{
			Name: gate.ConfigurationName, UID: live.UID, ResourceVersion: live.ResourceVersion, OwnerReferences: []metav1.OwnerReference{owner},
		},
		Webhooks: entries,
	}
}

// write applies a configuration. It returns what the API server has then, or why it has
// it not.
func (r *Reconciler) write(ctx context.Context, want *admissionregistrationv1.ValidatingWebhookConfiguration, opts ...client.ApplyOption) (
	*policy.Refusal, *admissionregistrationv1.ValidatingWebhookConfiguration, error,
) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, nil, fmt.Errorf("convert ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	applied := &unstructured.Unstructured{Object: content}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), append(opts, client.FieldOwner(status.FieldManager))...)
	switch {
	case apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
		return r.conflict(err.Error(), conflicting(err)), nil, nil
	case apierrors.IsConflict(err):
		return nil, nil, fmt.Errorf("apply ValidatingWebhookConfiguration %s: %w: %w", want.Name, errStale, err)
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonRejected, Message: fmt.Sprintf("the API server refuses ValidatingWebhookConfiguration %s: %v", want.Name, err)}, nil, nil
	case apierrors.IsForbidden(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: fmt.Sprintf("Mainstay may not write ValidatingWebhookConfiguration %s: %v", want.Name, err)}, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("apply ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	now := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(applied.Object, now); err != nil {
		return nil, nil, fmt.Errorf("read the API server's answer about ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	return nil, now, nil
}

// same says whether the API server has what it should.
func same(live, want *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	if !slices.ContainsFunc(live.OwnerReferences, func(have metav1.OwnerReference) bool {
		return equality.Semantic.DeepEqual(have, want.OwnerReferences[0])
	}) {
		return false
	}
	byName := func(a, b admissionregistrationv1.ValidatingWebhook) int { return strings.Compare(a.Name, b.Name) }
	return equality.Semantic.DeepEqual(slices.SortedFunc(slices.Values(live.Webhooks), byName), slices.SortedFunc(slices.Values(want.Webhooks), byName))
}
