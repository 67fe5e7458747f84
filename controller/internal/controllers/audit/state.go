package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// maxResources bounds the resources that one rule has watched in the whole
// cluster: a wildcard over all of them would fill the memory of every replica.
const maxResources = 32

// objectRef names an object of a resource.
type objectRef struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

// pending is what has to be evaluated again.
type pending struct {
	all        bool
	namespaces map[string]struct{}
	objects    map[objectRef]struct{}
}

func (p *pending) empty() bool {
	return !p.all && len(p.namespaces) == 0 && len(p.objects) == 0
}

// everything has all be evaluated again. What is pending in part is a part of it, and is not
// kept: a rule may wait for days until it can be evaluated.
func (p *pending) everything() { *p = pending{all: true} }

func (p *pending) namespace(name string) {
	if p.all {
		return
	}
	if p.namespaces == nil {
		p.namespaces = map[string]struct{}{}
	}
	p.namespaces[name] = struct{}{}
}

func (p *pending) object(ref objectRef) {
	if p.all {
		return
	}
	if p.objects == nil {
		p.objects = map[objectRef]struct{}{}
	}
	p.objects[ref] = struct{}{}
}

// state is what the engine knows of one generation of one rule.
type state struct {
	uid        types.UID
	generation int64
	since      time.Time
	suspended  bool
	severity   v1alpha1.Severity
	mistakes   field.ErrorList
	// refusal is why nothing can enforce the rule, although that is asked
	// for. The rule is audited all the same.
	refusal *policy.Refusal

	// rule is nil where there are mistakes.
	rule *rule.Rule
	// matches and references are the served resources; absent says what is not
	// served, and refused what a namespaced Rule may not refer to.
	matches    []rule.APIResource
	references []rule.Resolved
	absent     []string
	refused    []string

	pending pending
	expires time.Time
	// unread says that nothing of the rule could be read when it was last evaluated, and
	// not because it was being listed.
	unread bool
	// waiting is true while a resource that the rule reads was not synced when
	// it was last evaluated.
	waiting bool

	// records, backlog, what is planned and not yet looked at, planned, when that was, and
	// refs, the lists that it is evaluated with, are touched by the one worker that evaluates
	// the rule.
	records records
	backlog []objectRef
	planned time.Time
	refs    *refs
	// found is what the last batch left.
	found *found
}

// take returns what is to be planned: what is pending, once nothing is planned. It is
// evaluated with the lists of then: a change of them meanwhile is pending, and planned next.
// The engine's mu is held.
func (s *state) take(now time.Time, objects Objects) pending {
	if len(s.backlog) > 0 {
		return pending{}
	}
	todo := s.pending
	s.pending, s.planned, s.refs = pending{}, now, newRefs(objects, s.references)
	if !s.expires.IsZero() && !now.Before(s.expires) {
		todo.everything()
	}
	return todo
}

// hold has everything evaluated once the rule can be, and drops what is planned. Unless that
// is a matter of time, what was found says nothing of the objects any more and is dropped, too:
// then lost is true. The engine's mu is held, by the worker that evaluates the rule.
func (s *state) hold(passes bool) (lost bool) {
	s.pending.everything()
	s.backlog, s.refs = nil, nil
	if passes {
		return false
	}
	lost = s.found != nil
	s.records, s.found = records{}, nil
	return lost
}

// settling is for how long a rule waits for kinds that are being listed before its first result
// is of the others.
const settling = time.Minute

// settles is how much of that is left; 0 also where a clock was set back.
func (s *state) settles(now time.Time) time.Duration {
	if age := now.Sub(s.since); age >= 0 && age < settling {
		return settling - age
	}
	return 0
}

// audited says whether the rule is to be evaluated on objects.
func (s *state) audited() bool {
	return s.rule != nil && !s.suspended && s.rule.Audits()
}

// usable says whether the rule can be evaluated at all. A list of a kind that
// is not served is not an empty list: nothing can be said then.
func (s *state) usable() bool {
	return s.audited() && len(s.refused) == 0 && len(s.absent) == 0
}

// resolve finds the resources that the rule reads among those that are served,
// and returns what it wants of them.
func (s *state) resolve(objects Objects) informer.Wants {
	s.matches, s.references, s.absent, s.refused = nil, nil, nil, nil
	if !s.audited() || !objects.Discovered() {
		return nil
	}
	resources := objects.Resources()
	s.matches = s.rule.Resources(resources)
	if len(s.matches) > maxResources {
		s.refused = append(s.refused, fmt.Sprintf("matchConstraints.resourceRules match %d resources: one rule may match %d, name those that it is about",
			len(s.matches), maxResources))
	}
	var refused []string
	s.references, s.absent, refused = s.rule.Resolve(resources)
	s.refused = append(s.refused, refused...)
	if !s.usable() {
		return nil
	}

	wants := informer.Wants{}
	want := func(gvr schema.GroupVersionResource, mask expr.Mask) { wants[gvr] = wants[gvr].Union(mask) }
	for _, match := range s.matches {
		want(match.GroupVersionResource, s.rule.Reads())
	}
	for _, ref := range s.references {
		want(ref.Resource, s.rule.ReadsOf(ref.Name))
	}
	if len(s.matches) > 0 && s.rule.NeedsNamespace() {
		want(namespaces, expr.WholeObject())
	}
	return wants
}

// audits says whether the rule is evaluated on objects of a resource.
func (s *state) audits(gvr schema.GroupVersionResource) bool {
	return s.usable() && slices.ContainsFunc(s.matches, func(r rule.APIResource) bool { return r.GroupVersionResource == gvr })
}

// reads lists the resources that the rule reads, each once.
func (s *state) reads() []schema.GroupVersionResource {
	if !s.usable() {
		return nil
	}
	resources := s.background()
	for _, match := range s.matches {
		resources = append(resources, match.GroupVersionResource)
	}
	slices.SortFunc(resources, func(a, b schema.GroupVersionResource) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(resources)
}

// background are the resources that every evaluation needs beside the object.
func (s *state) background() []schema.GroupVersionResource {
	var needed []schema.GroupVersionResource
	for _, ref := range s.references {
		needed = append(needed, ref.Resource)
	}
	if s.rule.NeedsNamespace() {
		needed = append(needed, namespaces)
	}
	return needed
}

// describe lists resources for people.
func describe(resources []rule.APIResource) string {
	names := make([]string, len(resources))
	for i, r := range resources {
		names[i] = r.GroupResource().String()
	}
	slices.Sort(names)
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}
