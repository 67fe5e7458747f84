package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// AdmitPath is what the entries of rules call: the group of a rule follows.
	AdmitPath = "/admit/"
	// ValidatePath is what the entry about rules themselves calls.
	ValidatePath = "/validate"

	// EntrySuffix ends the names of the entries of rules.
	EntrySuffix = ".rules.mainstay.dev"
	// reviewTimeout bounds what a request waits for a rule, in seconds, and
	// validateTimeout what one about a rule waits for its compiler: Flux applies
	// rules while nobody answers.
	reviewTimeout, validateTimeout = int32(3), int32(1)
)

// WebhookOptions of a compilation.
type WebhookOptions struct {
	Recovery Recovery
	// Served is all that the API server serves requests about, subresources as
	// resource/subresource.
	Served []rule.APIResource
	// Client is how the API server reaches a path of the webhook.
	Client func(path string) admissionregistrationv1.WebhookClientConfig
	// BundleSize is how long the CA bundle of Client may become, in bytes: room is kept
	// for it, so that a new CA takes the place of no rule.
	BundleSize int
	// Refused are the names of entries whose rules' match conditions the API
	// server does not take, though they compile here: the webhook alone asks those.
	Refused sets.Set[string]
	// Live are the names of the entries that are there: what is new takes the room of none
	// whose turn is the same.
	Live sets.Set[string]
}

// Webhooks are the entries for rules that the API server cannot evaluate, and
// what was made of each rule.
type Webhooks struct {
	Entries []admissionregistrationv1.ValidatingWebhook
	// Of has the name of a rule's entry. A rule without one matches nothing
	// that is served off the recovery path, or has no room.
	Of map[rule.Key]string
	// NoRoom are the rules whose entry would make the configuration larger than
	// an object may be, and Room is how many bytes of JSON it has left.
	NoRoom sets.Set[rule.Key]
	Room   int
}

// maxConfiguration is how large all entries may be together, in bytes of JSON. etcd
// takes 1.5 MiB, with who manages which field.
const maxConfiguration = 1 << 20

// entry is what rules with the same Group share.
type entry struct {
	group string
	rule  *rule.Rule
	// keys are of all rules that share it, and name is its own.
	keys []rule.Key
	name string
	// versions is the one version of each group and resource, operations what is
	// asked about it.
	versions   map[schema.GroupResource]rule.APIResource
	operations map[schema.GroupResource]map[admissionregistrationv1.OperationType]bool
}

// CompileWebhooks returns the entries for those of the rules that need one, in
// an order that depends on nothing but their names.
func CompileWebhooks(rules []*rule.Rule, opts WebhookOptions) *Webhooks {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *rule.Rule) bool { return !NeedsWebhook(r) })
	slices.SortFunc(rules, func(a, b *rule.Rule) int { return cmp.Compare(a.Key().String(), b.Key().String()) })
	out := &Webhooks{Of: map[rule.Key]string{}, NoRoom: sets.Set[rule.Key]{}}
	entries := map[string][]*entry{}
	for _, r := range rules {
		asked := askedOf(r, opts.Served, opts.Recovery.Namespaces)
		if len(asked.versions) == 0 {
			continue
		}
		of := entries[asked.group]
		i := slices.IndexFunc(of, func(e *entry) bool { return e.agrees(asked) })
		if i < 0 {
			i = len(of)
			asked.name = entryName(asked.group, i)
			entries[asked.group] = append(of, asked)
		} else {
			of[i].add(asked)
		}
	}
	out.Room = maxConfiguration
	for _, e := range inTurn(entries, opts.Live) {
		webhook := e.webhook(opts)
		size := EntrySize(&webhook, opts.BundleSize)
		if size > out.Room {
			out.NoRoom.Insert(e.keys...)
			continue
		}
		out.Room -= size
		out.Entries = append(out.Entries, webhook)
		for _, key := range e.keys {
			out.Of[key] = e.name
		}
	}
	slices.SortFunc(out.Entries, func(a, b admissionregistrationv1.ValidatingWebhook) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// inTurn has the entries of ClusterRules first, and then of each namespace one after the
// other: a tenant of many rules takes the room of nobody who has fewer. Of each turn those
// that are live are first, as without room a gate that is shut would open.
func inTurn(groups map[string][]*entry, live sets.Set[string]) []*entry {
	var out, fresh []*entry
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		for _, e := range groups[group] {
			if live.Has(e.name) {
				out = append(out, e)
			} else {
				fresh = append(fresh, e)
			}
		}
	}
	out = append(out, fresh...)
	turn, turns := map[string]int{}, map[*entry]int{}
	for _, e := range out {
		if key := e.rule.Key(); key.Kind == rule.KindRule {
			turn[key.Namespace]++
			turns[e] = turn[key.Namespace]
		}
	}
	slices.SortStableFunc(out, func(a, b *entry) int { return cmp.Compare(turns[a], turns[b]) })
	return out
}

// EntrySize is how large an entry may become, in bytes of JSON, with a CA bundle of a length.
func EntrySize(entry *admissionregistrationv1.ValidatingWebhook, bundle int) int {
	largest := *entry
	largest.ClientConfig.CABundle = make([]byte, max(bundle, len(entry.ClientConfig.CABundle)))
	text, err := json.Marshal(&largest)
	if err != nil {
		return maxConfiguration // it cannot be stored either
	}
	return len(text)
}

// entryName is a DNS name, as the API server wants it.
func entryName(group string, i int) string {
	if i > 0 {
		group = fmt.Sprintf("%s-%d", group, i)
	}
	return group + EntrySuffix
}

// askedOf is what one rule asks for: of each group and resource one version, the
// preferred one where the rule allows it. The API server converts other versions
// of a request to it. It asks about nothing that is in a namespace where it selects those of
// the recovery path alone.
func askedOf(r *rule.Rule, served []rule.APIResource, recovery []string) *entry {
	e := &entry{
		group: Group(r), rule: r, keys: []rule.Key{r.Key()},
		versions:   map[schema.GroupResource]rule.APIResource{},
		operations: map[schema.GroupResource]map[admissionregistrationv1.OperationType]bool{},
	}
	constraints := constraintsOf(r)
	excluded := append(recoveryKinds(), slices.DeleteFunc(slices.Clone(constraints.ExcludeResourceRules), func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		// What is excluded by name is left out when the request is looked at.
		return len(rule.ResourceNames) > 0
	})...)
	_, elsewhere := namespacesOf(constraints.NamespaceSelector, recovery)
	for _, resource := range served {
		if resource.Namespaced && !elsewhere {
			continue
		}
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

// matches says whether a rule matches something that is served, on the recovery path or off it.
func matches(r *rule.Rule, served []rule.APIResource) bool {
	entries := constraintsOf(r).ResourceRules
	return slices.ContainsFunc(served, func(resource rule.APIResource) bool {
		return slices.ContainsFunc(entries, func(entry admissionregistrationv1.NamedRuleWithOperations) bool { return asksAbout(&entry, resource) })
	})
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
	e.keys = append(e.keys, other.keys...)
	for at, resource := range other.versions {
		e.versions[at] = resource
		if e.operations[at] == nil {
			e.operations[at] = map[admissionregistrationv1.OperationType]bool{}
		}
		maps.Copy(e.operations[at], other.operations[at])
	}
}

// webhook is the entry as the API server stores it, every default spelled out.
func (e *entry) webhook(opts WebhookOptions) admissionregistrationv1.ValidatingWebhook {
	var own []admissionregistrationv1.MatchCondition
	if !opts.Refused.Has(e.name) {
		own = pushedDown(e.rule)
	}
	constraints := guardedConstraints(e.rule, opts.Recovery.Namespaces)
	failure := EffectiveFailurePolicy(e.rule)
	return webhook(e.name, failure, reviewTimeout, opts.Client(AdmitPath+e.group), admissionregistrationv1.ValidatingWebhook{
		NamespaceSelector: constraints.NamespaceSelector,
		ObjectSelector:    constraints.ObjectSelector,
		MatchConditions:   conditions(conditionGuarded, guarded(opts.Recovery), "// Mainstay, webhook "+e.name+"\n", nil, own),
		Rules:             e.rules(),
	})
}

// ValidateWebhook is the entry that has rules compiled as people apply them. It
// fails open, and asks nothing about what Flux and the control plane apply: Flux
// gives up all of a Kustomization for one object that is refused.
func ValidateWebhook(opts WebhookOptions) admissionregistrationv1.ValidatingWebhook {
	all := matchAll()
	return webhook(gate.OpenEntry, admissionregistrationv1.Ignore, validateTimeout, opts.Client(ValidatePath), admissionregistrationv1.ValidatingWebhook{
		NamespaceSelector: all.NamespaceSelector,
		ObjectSelector:    all.ObjectSelector,
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name:       ownPrefix + "not-flux",
			Expression: fmt.Sprintf("!request.userInfo.?groups.orValue([]).exists(g, g in [%s])", quoted(serviceAccountsOf(opts.Recovery.Namespaces))),
		}},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{v1alpha1.GroupVersion.Version},
				Resources: []string{"clusterrules", "rules"}, Scope: new(admissionregistrationv1.AllScopes),
			},
		}},
	})
}

func webhook(name string, failure admissionregistrationv1.FailurePolicyType, timeout int32, client admissionregistrationv1.WebhookClientConfig,
	out admissionregistrationv1.ValidatingWebhook,
) admissionregistrationv1.ValidatingWebhook {
	out.Name, out.ClientConfig = name, client
	out.FailurePolicy, out.TimeoutSeconds = &failure, &timeout
	out.MatchPolicy, out.SideEffects = new(admissionregistrationv1.Equivalent), new(admissionregistrationv1.SideEffectClassNone)
	out.AdmissionReviewVersions = []string{"v1"}
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

// maxPushedDown is how long the match conditions of a rule may be together for the API
// server to ask them, in bytes with their names: there is one object for all rules.
const maxPushedDown = 8 << 10

// pushedDown are the match conditions of a rule that the API server asks before
// it asks the webhook: all of them, or none where one is beyond it. It knows no
// exceptions, and what is excepted is admitted though a condition fails.
func pushedDown(r *rule.Rule) []admissionregistrationv1.MatchCondition {
	conditions := r.Spec().MatchConditions
	length := 0
	for i := range conditions {
		length += len(conditions[i].Name) + len(conditions[i].Expression)
	}
	if len(r.Spec().Exceptions) > 0 || length > maxPushedDown || slices.ContainsFunc(conditions, func(c admissionregistrationv1.MatchCondition) bool {
		// The only function that the API server lacks: a condition that has its
		// name for another reason is asked by the webhook alone.
		return strings.Contains(c.Expression, "selectorMatches")
	}) {
		return nil
	}
	return conditions
}
