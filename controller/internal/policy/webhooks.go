package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// AdmitPath is what the entries of rules call: the group of a rule follows.
	AdmitPath = "/admit/"
	// ValidatePath is what the entry about rules themselves calls.
	ValidatePath = "/validate"

	entrySuffix = ".rules.mainstay.dev"
	// reviewTimeout bounds what a request waits for a rule, in seconds, and
	// validateTimeout what one about a rule waits for its compiler: Flux applies
	// rules while nobody answers.
	reviewTimeout, validateTimeout = int32(3), int32(1)
)

// WebhookOptions of a compilation.
type WebhookOptions struct {
	// RecoveryNamespaces are those in which no entry matches anything.
	RecoveryNamespaces []string
	// Served is all that the API server serves requests about, subresources as
	// resource/subresource.
	Served []rule.APIResource
	// Client is how the API server reaches a path of the webhook.
	Client func(path string) admissionregistrationv1.WebhookClientConfig
}

// Webhooks are the entries for rules that the API server cannot evaluate, and
// what was made of each rule.
type Webhooks struct {
	Entries []admissionregistrationv1.ValidatingWebhook
	// Of has the names of a rule's entries. A rule without any matches nothing
	// that is served off the recovery path.
	Of map[rule.Key][]string
}

// entry is what rules with the same Group share.
type entry struct {
	group string
	rule  *rule.Rule
	// versions is the one version of each group and resource, operations what is
	// asked about it.
	versions   map[schema.GroupResource]rule.APIResource
	operations map[schema.GroupResource]map[admissionregistrationv1.OperationType]bool
}

// CompileWebhooks returns the entries for those of the rules that need one, in
// an order that depends on nothing but the rules.
func CompileWebhooks(rules []*rule.Rule, opts WebhookOptions) *Webhooks {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *rule.Rule) bool { return !NeedsWebhook(r) })
	slices.SortFunc(rules, func(a, b *rule.Rule) int { return cmp.Compare(a.Key().String(), b.Key().String()) })
	out := &Webhooks{Of: map[rule.Key][]string{}}
	entries := map[string][]*entry{}
	for _, r := range rules {
		asked := askedOf(r, opts.Served)
		if len(asked.versions) == 0 {
			continue
		}
		of := entries[asked.group]
		i := slices.IndexFunc(of, func(e *entry) bool { return e.agrees(asked) })
		if i < 0 {
			i = len(of)
			of = append(of, asked)
			entries[asked.group] = of
		} else {
			of[i].add(asked)
		}
		out.Of[r.Key()] = []string{entryName(asked.group, i)}
	}
	for _, group := range slices.Sorted(maps.Keys(entries)) {
		for i, e := range entries[group] {
			out.Entries = append(out.Entries, e.webhook(entryName(group, i), opts))
		}
	}
	return out
}

// entryName is a DNS name, as the API server wants it.
func entryName(group string, i int) string {
	if i > 0 {
		group = fmt.Sprintf("%s-%d", group, i)
	}
	return group + entrySuffix
}

// askedOf is what one rule asks for: of each group and resource one version, the
// preferred one where the rule allows it. The API server converts other versions
// of a request to it.
func askedOf(r *rule.Rule, served []rule.APIResource) *entry {
	e := &entry{
		group: Group(r), rule: r,
		versions:   map[schema.GroupResource]rule.APIResource{},
		operations: map[schema.GroupResource]map[admissionregistrationv1.OperationType]bool{},
	}
	constraints := constraintsOf(r)
	excluded := append(recoveryKinds(), slices.DeleteFunc(slices.Clone(constraints.ExcludeResourceRules), func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		// What is excluded by name is left out when the request is looked at.
		return len(rule.ResourceNames) > 0
	})...)
	for _, resource := range served {
		operations := map[admissionregistrationv1.OperationType]bool{}
		for i := range constraints.ResourceRules {
			if asksAbout(&constraints.ResourceRules[i], resource) {
				add(operations, constraints.ResourceRules[i].Operations)
			}
		}
		for i := range excluded {
			if asksAbout(&excluded[i], resource) {
				remove(operations, excluded[i].Operations)
			}
		}
		at := resource.GroupResource()
		chosen, found := e.versions[at]
		if len(operations) == 0 || found && (chosen.Preferred || !resource.Preferred) {
			continue
		}
		e.versions[at], e.operations[at] = resource, operations
	}
	return e
}

func allOperations() []admissionregistrationv1.OperationType {
	return []admissionregistrationv1.OperationType{
		admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete, admissionregistrationv1.Connect,
	}
}

func add(set map[admissionregistrationv1.OperationType]bool, operations []admissionregistrationv1.OperationType) {
	if slices.Contains(operations, admissionregistrationv1.OperationAll) {
		operations = allOperations()
	}
	for _, operation := range operations {
		set[operation] = true
	}
}

func remove(set map[admissionregistrationv1.OperationType]bool, operations []admissionregistrationv1.OperationType) {
	if slices.Contains(operations, admissionregistrationv1.OperationAll) {
		clear(set)
	}
	for _, operation := range operations {
		delete(set, operation)
	}
}

func asksAbout(entry *admissionregistrationv1.NamedRuleWithOperations, served rule.APIResource) bool {
	gvr, subresource := served.GroupVersionResource, ""
	gvr.Resource, subresource, _ = strings.Cut(served.Resource, "/")
	return rule.Covers(entry, gvr, subresource, served.Namespaced)
}

// agrees says whether two want no different versions of anything: an entry that
// lists both would be asked with the one that the request has.
func (e *entry) agrees(other *entry) bool {
	for at, resource := range other.versions {
		if have, ok := e.versions[at]; ok && have.Version != resource.Version {
			return false
		}
	}
	return true
}

func (e *entry) add(other *entry) {
	for at, resource := range other.versions {
		e.versions[at] = resource
		if e.operations[at] == nil {
			e.operations[at] = map[admissionregistrationv1.OperationType]bool{}
		}
		maps.Copy(e.operations[at], other.operations[at])
	}
}

// webhook is the entry as the API server stores it, every default spelled out.
func (e *entry) webhook(name string, opts WebhookOptions) admissionregistrationv1.ValidatingWebhook {
	constraints := guardedConstraints(e.rule, opts.RecoveryNamespaces)
	failure := EffectiveFailurePolicy(e.rule)
	return webhook(name, failure, reviewTimeout, opts.Client(AdmitPath+e.group), admissionregistrationv1.ValidatingWebhook{
		NamespaceSelector: constraints.NamespaceSelector,
		ObjectSelector:    constraints.ObjectSelector,
		MatchConditions:   append(guardedConditions(), notForTheAPIServer(pushedDown(e.rule))...),
		Rules:             e.rules(),
	})
}

// ValidateWebhook is the entry that has rules compiled as people apply them. It
// fails open, and asks nothing about what Flux and the control plane apply: Flux
// gives up all of a Kustomization for one object that is refused.
func ValidateWebhook(opts WebhookOptions) admissionregistrationv1.ValidatingWebhook {
	all := matchAll()
	scope := admissionregistrationv1.AllScopes
	return webhook(gate.OpenEntry, admissionregistrationv1.Ignore, validateTimeout, opts.Client(ValidatePath), admissionregistrationv1.ValidatingWebhook{
		NamespaceSelector: all.NamespaceSelector,
		ObjectSelector:    all.ObjectSelector,
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name:       ownPrefix + "not-flux",
			Expression: fmt.Sprintf("!request.userInfo.?groups.orValue([]).exists(g, g in [%s])", quoted(serviceAccountsOf(opts.RecoveryNamespaces))),
		}},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{v1alpha1.GroupVersion.Version},
				Resources: []string{"clusterrules", "rules"}, Scope: &scope,
			},
		}},
	})
}

func webhook(name string, failure admissionregistrationv1.FailurePolicyType, timeout int32, client admissionregistrationv1.WebhookClientConfig,
	out admissionregistrationv1.ValidatingWebhook,
) admissionregistrationv1.ValidatingWebhook {
	equivalent, none := admissionregistrationv1.Equivalent, admissionregistrationv1.SideEffectClassNone
	out.Name, out.ClientConfig = name, client
	out.FailurePolicy, out.TimeoutSeconds = &failure, &timeout
	out.MatchPolicy, out.SideEffects, out.AdmissionReviewVersions = &equivalent, &none, []string{"v1"}
	return out
}

// rules are exactly what is asked, in a stable order: resources of one group,
// version and scope that are asked about with the same operations are one entry.
func (e *entry) rules() []admissionregistrationv1.RuleWithOperations {
	var out []admissionregistrationv1.RuleWithOperations
	index := map[string]int{}
	resources := slices.SortedFunc(maps.Values(e.versions), func(a, b rule.APIResource) int { return cmp.Compare(a.String(), b.String()) })
	for _, resource := range resources {
		var operations []admissionregistrationv1.OperationType
		for _, operation := range allOperations() {
			if e.operations[resource.GroupResource()][operation] {
				operations = append(operations, operation)
			}
		}
		scope := admissionregistrationv1.ClusterScope
		if resource.Namespaced {
			scope = admissionregistrationv1.NamespacedScope
		}
		key := fmt.Sprint(resource.GroupVersion(), scope, operations)
		i, found := index[key]
		if !found {
			i = len(out)
			index[key] = i
			out = append(out, admissionregistrationv1.RuleWithOperations{
				Operations: operations,
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{resource.Group}, APIVersions: []string{resource.Version}, Scope: &scope,
				},
			})
		}
		out[i].Resources = append(out[i].Resources, resource.Resource)
	}
	return out
}

// pushedDown are the match conditions of a rule that the API server asks before
// it asks the webhook: all of them, or none where one is beyond it.
func pushedDown(r *rule.Rule) []admissionregistrationv1.MatchCondition {
	conditions := r.Spec().MatchConditions
	if slices.ContainsFunc(conditions, func(c admissionregistrationv1.MatchCondition) bool {
		// The only function that the API server lacks: a condition that has its
		// name for another reason is asked by the webhook alone.
		return strings.Contains(c.Expression, "selectorMatches")
	}) {
		return nil
	}
	return conditions
}
