package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// inForce says that it was when somebody last looked, this leader or another.
	inForce bool
	// former says that it is a generation before the present one, of which others
	// speak.
	former bool
	// again is when what keeps it in force has to be looked at again, if ever.
	again time.Duration
}

func (r *ruled) refused(reason, message string) {
	r.report.Enforced, r.report.Reason, r.report.Message = metav1.ConditionFalse, reason, message
}

// pending is for a rule of which nothing can be said yet. What is in force stays so.
func (r *ruled) pending(message string) {
	if r.inForce {
		r.report.Enforced, r.report.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		r.report.Message = fmt.Sprintf("ValidatingWebhookConfiguration %s, as it was; it %s", gate.ConfigurationName, message)
		return
	}
	r.report.Enforced, r.report.Reason, r.report.Message = metav1.ConditionUnknown, v1alpha1.ReasonSyncing, message
}

// enforcedBy says which entries have the rule, unless something else was said.
func (r *ruled) enforcedBy(entries []string) {
	switch {
	case r.report.Enforced != "":
	case len(entries) == 0:
		r.refused(v1alpha1.ReasonKindNotFound, "the API server serves nothing that it matches outside the recovery path, where only rules that the API server can evaluate are enforced")
	default:
		r.report.Enforced, r.report.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		r.report.Message = fmt.Sprintf("ValidatingWebhookConfiguration %s, webhook %s; on the recovery path it is audited only",
			gate.ConfigurationName, strings.Join(entries, ", "))
	}
}

// read returns the rules that need the webhook, in the order of their keys. Those
// that are suspended or do not compile are spoken of by others.
func (r *Reconciler) read(ctx context.Context) ([]*ruled, error) {
	var out []*ruled
	take := func(obj client.Object, spec *v1alpha1.RuleSpec, status *v1alpha1.RuleStatus) {
		if obj.GetDeletionTimestamp() != nil || spec.Suspend || !rule.HasMode(spec, v1alpha1.ModeAdmission) {
			return
		}
		key := rulecontroller.KeyOf(obj)
		compiled, mistakes := rule.Compile(r.Compiler, key, obj.GetGeneration(), spec)
		if len(mistakes) > 0 || policy.Check(compiled) != nil {
			// A slip in an edit is no reason to open a gate.
			if former := r.InForce(key); former != nil {
				out = append(out, &ruled{key: key, rule: former, inForce: true, former: true})
			}
			return
		}
		if !policy.NeedsWebhook(compiled) {
			former := r.InForce(key)
			if former == nil {
				r.handover.Forget(key)
			} else if left := r.handover.Left(r.Policies, key, obj.GetUID(), obj.GetGeneration(), r.Clock.Now()); left > 0 {
				out = append(out, &ruled{key: key, rule: former, inForce: true, former: true, again: left})
			}
			return
		}
		out = append(out, &ruled{key: key, rule: compiled, inForce: inForce(status), report: policy.Report{
			UID: obj.GetUID(), Generation: obj.GetGeneration(), Enforcement: v1alpha1.EnforcementWebhook,
		}})
	}
	var clusterRules v1alpha1.ClusterRuleList
	if err := r.Client.List(ctx, &clusterRules); err != nil {
		return nil, fmt.Errorf("list the ClusterRules: %w", err)
	}
	for i := range clusterRules.Items {
		take(&clusterRules.Items[i], &clusterRules.Items[i].Spec, &clusterRules.Items[i].Status)
	}
	var rules v1alpha1.RuleList
	if err := r.Client.List(ctx, &rules); err != nil {
		return nil, fmt.Errorf("list the Rules: %w", err)
	}
	for i := range rules.Items {
		take(&rules.Items[i], &rules.Items[i].Spec, &rules.Items[i].Status)
	}
	slices.SortFunc(out, func(a, b *ruled) int { return strings.Compare(a.key.String(), b.key.String()) })
	return out, nil
}

// inForce says whether a rule was enforced by the webhook, by what its status says: policies
// may have enforced a former generation.
func inForce(status *v1alpha1.RuleStatus) bool {
	return status.Enforcement == v1alpha1.EnforcementWebhook && meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionEnforced)
}

// usable are the rules whose references can be read here, and so can be judged by
// them. What a rule refers to may be a kind that is not installed, or one that
// Mainstay may not read: then nobody is refused for it. A rule that is in force stays
// so until that has lasted: an API server that has just started knows no roles yet,
// and a gate must not open for it.
func (r *Reconciler) usable(rules []*ruled) []*rule.Rule {
	resources := r.Objects.Resources()
	blocked := map[rule.Key]time.Time{}
	var out []*rule.Rule
	for _, one := range rules {
		reason, message := r.blocked(one, resources)
		switch {
		case reason == "", reason == v1alpha1.ReasonSyncing && one.inForce:
			out = append(out, one.rule)
		case reason == v1alpha1.ReasonSyncing:
			one.pending(message)
		case one.inForce && reason != v1alpha1.ReasonInvalidSpec:
			since, known := r.blockedSince[one.key]
			if !known {
				since = r.Clock.Now()
			}
			blocked[one.key] = since
			if one.again = lasting - r.Clock.Since(since); one.again > 0 {
				out = append(out, one.rule)
			} else {
				one.refused(reason, message)
			}
		default:
			one.refused(reason, message)
		}
	}
	r.blockedSince = blocked
	return out
}

func (r *Reconciler) blocked(one *ruled, resources []informer.Resource) (reason, message string) {
	for _, reference := range one.rule.References() {
		i := slices.IndexFunc(resources, func(resource informer.Resource) bool {
			return resource.Group == reference.GVK.Group && resource.Version == reference.GVK.Version && resource.Kind == reference.GVK.Kind
		})
		if i < 0 {
			return v1alpha1.ReasonKindNotFound, fmt.Sprintf("refs.%s refers to kind %s of %s, which the API server does not serve",
				reference.Name, reference.GVK.Kind, reference.GVK.GroupVersion())
		}
		if one.key.Kind == rule.KindRule && !resources[i].Namespaced {
			return v1alpha1.ReasonInvalidSpec, fmt.Sprintf("refs.%s refers to the cluster-scoped kind %s: a namespaced Rule refers to its own namespace only",
				reference.Name, reference.GVK.Kind)
		}
		state := r.Objects.State(r.Consumer(one.key), resources[i].GroupVersionResource)
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
