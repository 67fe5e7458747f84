package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// ruled is a rule that needs the webhook, and what is to be said of it.
type ruled struct {
	key    rule.Key
	rule   *rule.Rule
	report policy.Report
	// inForce says that this generation was when somebody last looked, this leader or
	// another, and before that it or an earlier one was.
	inForce, before bool
	// former says that it is a generation before the present one, of which others
	// speak.
	former bool
	// again is when what keeps it in force has to be looked at again, if ever.
	again time.Duration
}

func (r *ruled) refused(reason, message string) {
	r.report.Enforced, r.report.Reason, r.report.Message = metav1.ConditionFalse, reason, message
	r.report.Nothing = false
}

// unread says why requests are not judged by this generation, unless that was said: what it
// refers to cannot be read.
func (r *ruled) unread(reason, message string) {
	if r.report.Enforced != "" {
		return
	}
	r.refused(reason, message)
	if reason == v1alpha1.ReasonSyncing {
		r.report.Enforced = metav1.ConditionUnknown
	}
}

// keep has a former generation in place of one that is unread.
func (r *ruled) keep(former *rule.Rule, reason, message string) {
	r.unread(reason, "not enforced as it is now, and what was before is left as it is: "+message)
	r.rule, r.inForce = former, r.before
}

// pending is for a rule of which nothing can be said yet, unless something else was said.
// What is in force stays so.
func (r *ruled) pending(message string) {
	switch {
	case r.report.Enforced != "":
	case r.inForce:
		r.report.Enforced, r.report.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		r.report.Message = fmt.Sprintf("ValidatingWebhookConfiguration %s, as it was; it %s", gate.ConfigurationName, message)
	default:
		r.unread(v1alpha1.ReasonSyncing, message)
	}
}

// enforcedBy says which entry has the rule, empty for none, unless something else was said.
// certain says that one without an entry has nothing to be judged.
func (r *ruled) enforcedBy(entry string, certain bool) {
	switch {
	case r.report.Enforced != "":
	case entry == "":
		r.refused(v1alpha1.ReasonKindNotFound, "the API server serves nothing that it matches outside the recovery path, where only rules that the API server can evaluate are enforced")
		r.report.Nothing = certain
	default:
		r.report.Enforced, r.report.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		r.report.Message = fmt.Sprintf("ValidatingWebhookConfiguration %s, webhook %s, for %s, which the API server cannot evaluate; on the recovery path it is audited only",
			gate.ConfigurationName, entry, strings.Join(r.rule.Beyond(), " and "))
	}
}

// version is what of a rule the cache may be behind with.
type version struct {
	uid        types.UID
	generation int64
}

// read returns the rules that need the webhook, in the order of their keys, and the
// versions of all that there are. Those that are suspended or do not compile are spoken of
// by others.
func (r *Reconciler) read(ctx context.Context) ([]*ruled, map[rule.Key]version, error) {
	objs, err := rulecontroller.List(ctx, r.Client)
	if err != nil {
		return nil, nil, err
	}
	var out []*ruled
	seen := map[rule.Key]compiled{}
	for _, obj := range objs {
		if one := r.take(obj); one != nil {
			out = append(out, one)
		}
		key := rulecontroller.KeyOf(obj)
		if one, known := r.compiled[key]; known && one.version == (version{obj.GetUID(), obj.GetGeneration()}) {
			seen[key] = one
		}
	}
	r.compiled = seen
	slices.SortFunc(out, func(a, b *ruled) int { return strings.Compare(a.key.String(), b.key.String()) })
	return out, versions(objs), nil
}

// versions are those of rules that are not being deleted.
func versions(objs []client.Object) map[rule.Key]version {
	out := map[rule.Key]version{}
	for _, obj := range objs {
		if obj.GetDeletionTimestamp() == nil {
			out[rulecontroller.KeyOf(obj)] = version{uid: obj.GetUID(), generation: obj.GetGeneration()}
		}
	}
	return out
}

// take returns a rule if the webhook judges requests by it, or by a former generation of
// it; nil where it does not.
func (r *Reconciler) take(obj client.Object) *ruled {
	spec, status := rulecontroller.PartsOf(obj)
	if obj.GetDeletionTimestamp() != nil || spec.Suspend || !rule.HasMode(spec, v1alpha1.ModeAdmission) {
		return nil
	}
	key := rulecontroller.KeyOf(obj)
	compiled, ok := r.compile(key, obj, spec)
	if !ok {
		// A slip in an edit is no reason to open a gate.
		if former := r.InForce(key); former != nil {
			return &ruled{key: key, rule: former, inForce: true, former: true}
		}
		return nil
	}
	if policy.NeedsWebhook(compiled) {
		enforced := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionEnforced)
		// Policies may have enforced a former generation.
		before := status.Enforcement == v1alpha1.EnforcementWebhook && enforced != nil && enforced.Status == metav1.ConditionTrue
		_, blocked := r.blockedSince[key]
		return &ruled{
			key: key, rule: compiled, before: before || blocked || r.kept.Has(key), inForce: before && enforced.ObservedGeneration == obj.GetGeneration(),
			report: policy.Report{UID: obj.GetUID(), Generation: obj.GetGeneration(), Enforcement: v1alpha1.EnforcementWebhook},
		}
	}
	former := r.InForce(key)
	if former == nil {
		r.handover.Forget(key)
		return nil
	}
	if left := r.handover.Left(r.Policies, key, obj.GetUID(), obj.GetGeneration(), r.Clock.Now()); left > 0 {
		return &ruled{key: key, rule: former, inForce: true, former: true, again: left}
	}
	return nil
}

// compiled is a generation of a rule, and whether requests can be judged by it.
type compiled struct {
	version
	rule *rule.Rule
	ok   bool
}

// compile returns a rule, and whether requests can be judged by it.
func (r *Reconciler) compile(key rule.Key, obj client.Object, spec *v1alpha1.RuleSpec) (*rule.Rule, bool) {
	at := version{uid: obj.GetUID(), generation: obj.GetGeneration()}
	if known, ok := r.compiled[key]; ok && known.version == at {
		return known.rule, known.ok
	}
	made, mistakes := rule.Compile(r.Compiler, key, obj.GetGeneration(), spec)
	one := compiled{version: at, rule: made, ok: len(mistakes) == 0 && policy.Check(made) == nil}
	if r.compiled == nil {
		r.compiled = map[rule.Key]compiled{}
	}
	r.compiled[key] = one
	return one.rule, one.ok
}

// usable are the rules whose references can be read here, and so can be judged by
// them. What a rule refers to may be a kind that is not installed, or one that
// Mainstay may not read: then nobody is refused for it, and requests go on being judged by
// what the webhook knows of a former generation. A rule that is in force stays
// so until that has lasted: an API server that has just started knows no roles yet,
// and a gate must not open for it.
func (r *Reconciler) usable(rules []*ruled) []*rule.Rule {
	resources := r.Objects.Resources()
	blocked, kept := map[rule.Key]time.Time{}, sets.Set[rule.Key]{}
	var out []*rule.Rule
	for _, one := range rules {
		reason, message := r.blocked(one, resources)
		former, used := r.InForce(one.key), len(out)
		if reason != "" && former != nil && former.Generation() != one.rule.Generation() {
			one.keep(former, reason, message)
			// What is said is about the present one.
			reason, _ = r.blocked(one, resources)
		}
		switch {
		case reason == "", reason == v1alpha1.ReasonSyncing && one.inForce:
			out = append(out, one.rule)
		case one.lasts(reason):
			since := r.since(one.key)
			blocked[one.key] = since
			if one.again = lasting - r.Clock.Since(since); one.again > 0 {
				out = append(out, one.rule)
				if !one.inForce {
					one.pending(message)
				}
			} else {
				one.unread(reason, message)
			}
		default:
			one.unread(reason, message)
		}
		if one.rule == former && len(out) > used {
			kept.Insert(one.key)
		}
	}
	r.blockedSince, r.kept = blocked, kept
	return out
}

// lasts says whether a rule stays in force for a while though it cannot be judged by. An
// edit that was never in force does where its references are being read: those of a new
// leader may all be.
func (r *ruled) lasts(reason string) bool {
	return r.inForce && reason != v1alpha1.ReasonInvalidSpec || r.before && reason == v1alpha1.ReasonSyncing
}

// since is since when a rule is blocked.
func (r *Reconciler) since(key rule.Key) time.Time {
	if since, known := r.blockedSince[key]; known {
		return since
	}
	return r.Clock.Now()
}

// blocked is why a rule cannot be judged by; empty where it can.
func (r *Reconciler) blocked(one *ruled, resources []informer.Resource) (reason, message string) {
	for _, reference := range one.rule.References() {
		i := slices.IndexFunc(resources, func(resource informer.Resource) bool {
			return resource.Group == reference.GVK.Group && resource.Version == reference.GVK.Version && resource.Kind == reference.GVK.Kind
		})
		if i < 0 && r.Objects.Down(reference.GVK.GroupVersion()) {
			return v1alpha1.ReasonSyncing, fmt.Sprintf("refs.%s refers to %s, of which the API server does not know at present what is served: its APIService is not available",
				reference.Name, reference.GVK.GroupVersion())
		}
		if i < 0 {
			return v1alpha1.ReasonKindNotFound, fmt.Sprintf("refs.%s refers to kind %s of %s, which the API server does not serve",
				reference.Name, reference.GVK.Kind, reference.GVK.GroupVersion())
		}
		if one.key.Kind == rule.KindRule && !resources[i].Namespaced {
			return v1alpha1.ReasonInvalidSpec, fmt.Sprintf("refs.%s refers to the cluster-scoped kind %s: a namespaced Rule refers to its own namespace only",
				reference.Name, reference.GVK.Kind)
		}
		state := r.Objects.State(r.Consumer(one.rule), resources[i].GroupVersionResource)
		switch state.Phase {
		case informer.Synced:
		case informer.Forbidden:
			return v1alpha1.ReasonForbidden, state.Message
		case informer.Absent:
			return v1alpha1.ReasonKindNotFound, state.Message
		case informer.Syncing:
			return v1alpha1.ReasonSyncing, state.Message
		}
	}
	return "", ""
}

// holdAll says that nothing can be said of the rules yet, and has those stay in force that
// are.
func (r *Reconciler) holdAll(rules []*ruled, message string) {
	held := map[rule.Key]time.Time{}
	for _, one := range rules {
		if one.before && !one.inForce {
			held[one.key] = r.since(one.key)
		}
		one.pending(message)
	}
	r.blockedSince = held
	r.tell(rules)
}

// refuse says the same of all rules, where nothing else was said.
func (r *Reconciler) refuse(rules []*ruled, reason, message string) {
	for _, rule := range rules {
		rule.refused(reason, message)
	}
	r.tell(rules)
}

// tell has the reports say what is said of all rules now.
func (r *Reconciler) tell(rules []*ruled) {
	known := make(map[rule.Key]policy.Report, len(rules))
	for _, one := range rules {
		if !one.former {
			known[one.key] = one.report
		}
	}
	r.Replace(known)
}
