package webhook

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// state is what the engine knows of one generation of one rule. It does not
// change once it is among the engine's rules.
type state struct {
	uid        types.UID
	generation int64
	// rule is nil where the webhook has nothing to judge by it. former says that it
	// is a generation before this one, which policies are to enforce.
	rule   *rule.Rule
	former bool
	// before is the generation that requests were judged by when this one came, and are
	// until what this one refers to can be read; nil for none.
	before *state
	// left are groups that earlier generations were in, the last first: an API
	// server asks by them until it has another configuration.
	left []string
	// resolved says that references are among what is served; missing says what
	// is not, by the reference's name.
	resolved   bool
	references []rule.Resolved
	missing    []string
}

// maxLeft bounds the groups that are remembered of a rule.
const maxLeft = 2

// judged is the state of those two that requests are judged by, as it was last; nil for
// none.
func (s *state) judged(by *active) *state {
	if s != nil && s.before != nil && (by == nil || by.rule != s.rule) {
		return s.before
	}
	return s
}

// readBy is the state alone if requests are judged by it, and can be; nil otherwise.
func (s *state) readBy(by *active, now time.Time) *state {
	if s == nil || s.rule == nil || by == nil || by.rule != s.rule || !by.read || !by.counts(now) {
		return nil
	}
	return s.alone()
}

// unresolved is the state before resolve.
func (s *state) unresolved() *state {
	if s == nil {
		return nil
	}
	return &state{uid: s.uid, generation: s.generation, rule: s.rule, former: s.former, before: s.before.unresolved(), left: s.left}
}

// alone is the state before resolve, without the one before it.
func (s *state) alone() *state {
	out := s.unresolved()
	out.before = nil
	return out
}

// follow takes over from an earlier generation of the same rule.
func (s *state) follow(earlier *state) {
	if s.rule == nil || earlier == nil || earlier.rule == nil {
		return
	}
	groups := append([]string{policy.Group(earlier.rule)}, earlier.left...)
	if s.before != nil {
		groups = append([]string{policy.Group(s.before.rule)}, groups...)
	}
	now := policy.Group(s.rule)
	for _, group := range groups {
		if group != now && !slices.Contains(s.left, group) && len(s.left) < maxLeft {
			s.left = append(s.left, group)
		}
	}
}

// resolve finds the resources that the rule refers to, and returns what it
// wants of them.
func (s *state) resolve(objects Objects) informer.Wants {
	if s.rule == nil || !objects.Discovered() {
		return nil
	}
	references, absent, refused := s.rule.Resolve(objects.Resources())
	s.resolved, s.references, s.missing = true, references, append(absent, refused...)
	wants := informer.Wants{}
	want := func(gvr schema.GroupVersionResource, mask expr.Mask) { wants[gvr] = wants[gvr].Union(mask) }
	for i := range s.references {
		want(s.references[i].Resource, s.rule.ReadsOf(s.references[i].Name))
	}
	if s.rule.NeedsNamespace() {
		want(namespaces, expr.WholeObject())
	}
	return wants
}

// snapshot is what reviews judge by. It does not change.
type snapshot struct {
	// synced says that all rules can be evaluated, and ready that all rules
	// that exist are among these.
	synced, ready bool
	// groups are the rules of each group, by key, and rules all of them.
	groups map[string][]*active
	rules  map[rule.Key]*active
	// all are those of all groups, by key.
	all []*active
}

// active is a rule that requests are judged by.
type active struct {
	key  rule.Key
	uid  types.UID
	rule *rule.Rule
	// generation is the last that was seen, which may be one that does not
	// compile.
	generation int64
	// read says that all that it refers to could be read, now or before, and syncing that
	// something is not yet. lost is since when something is not served, or may not be
	// read; zero where that is not so.
	read, syncing bool
	lost          time.Time
	// references have the lists, and missing says why there is none of others.
	references []reference
	missing    error

	// deny, warn and audit are what a violation does, and fail whether an error
	// denies.
	deny, warn, audit, fail bool
	// before and after stand around every message.
	before, after string
}

// reference has the lists of one reference, or why they cannot be read.
type reference struct {
	rule.Resolved
	source  *source
	problem error
}

// find is the reference of a name.
func (a *active) find(name string) (*reference, error) {
	for i := range a.references {
		if a.references[i].Name == name {
			return &a.references[i], a.references[i].problem
		}
	}
	return nil, a.missing
}

const unresolved = unavailable("what the API server serves is not known yet")

// newActive is a rule whose references are not joined with their lists yet.
func newActive(key rule.Key, s *state) *active {
	actions := policy.ActionsOf(s.rule)
	a := &active{
		key:  key,
		uid:  s.uid,
		rule: s.rule,

		generation: s.generation,

		deny:    slices.Contains(actions, admissionregistrationv1.Deny),
		warn:    slices.Contains(actions, admissionregistrationv1.Warn),
		audit:   slices.Contains(actions, admissionregistrationv1.Audit),
		fail:    policy.EffectiveFailurePolicy(s.rule) == admissionregistrationv1.Fail,
		missing: unresolved,
	}
	a.before, a.after = policy.Frame(key)
	if s.resolved {
		a.missing = unavailable(strings.Join(s.missing, "; "))
	}
	return a
}

// round makes the lists that changed, and a new snapshot where rules did.
func (e *Engine) round() {
	e.mu.Lock()
	todo := e.changes
	e.changes = changes{}
	rules := maps.Clone(e.rules)
	counted, complete := e.expected != nil, len(e.expected) == 0
	if todo.rules {
		e.keepSources(rules)
	}
	sources := maps.Clone(e.sources)
	e.mu.Unlock()

	var next *snapshot
	if todo.rules {
		next = e.join(rules, sources, &todo)
		next.synced = next.synced && complete
		next.ready = next.synced || counted && complete && e.objects.Discovered()
	}
	// The lists are made after the states were read: a list of a resource that
	// is synced has all that its readers want.
	e.readNamespaces(&todo)
	for s, stale := range todo.sources {
		s.refresh(e.objects, stale)
	}
	if next != nil {
		e.current.Store(next)
		if next.ready {
			e.ready.Store(true)
		}
		e.settle(rules, next)
	}
}

// settle lets go of the former generations of rules that requests are judged by the
// present one of now.
func (e *Engine) settle(rules map[rule.Key]*state, now *snapshot) {
	for key, s := range rules {
		if s.before == nil || !now.judgesBy(s) {
			continue
		}
		e.applying.Lock()
		e.mu.Lock()
		still := e.rules[key] == s
		e.mu.Unlock()
		if still {
			e.replace(key, s, s.alone())
		}
		e.applying.Unlock()
	}
}

// join makes a snapshot of rules. What can be read now and could not before is
// added to what has to be made.
func (e *Engine) join(rules map[rule.Key]*state, sources map[sourceKey]*source, todo *changes) *snapshot {
	next := &snapshot{synced: e.objects.Discovered(), groups: map[string][]*active{}, rules: map[rule.Key]*active{}}
	for key, s := range rules {
		if s.rule == nil {
			continue
		}
		by := s
		if s.before != nil && !e.current.Load().judgesBy(s) && !e.readable(s) {
			by = s.before
		}
		a := e.activate(key, by, sources, todo)
		next.synced = next.synced && !a.syncing
		next.rules[key], next.all = a, append(next.all, a)
		groups := append([]string{policy.Group(s.rule), policy.Group(by.rule)}, s.left...)
		slices.Sort(groups)
		for _, group := range slices.Compact(groups) {
			next.groups[group] = append(next.groups[group], a)
		}
	}
	byKey := func(a, b *active) int {
		return cmp.Or(cmp.Compare(a.key.Kind, b.key.Kind), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
	}
	for _, of := range next.groups {
		slices.SortFunc(of, byKey)
	}
	slices.SortFunc(next.all, byKey)
	return next
}

// readable says whether all that a state needs can be read.
func (e *Engine) readable(s *state) bool {
	if !s.resolved || len(s.missing) > 0 || s.rule.NeedsNamespace() && e.objects.State(Consumer(s.rule), namespaces).Phase == informer.Syncing {
		return false
	}
	return !slices.ContainsFunc(s.references, func(r rule.Resolved) bool {
		return e.objects.State(Consumer(s.rule), r.Resource).Phase != informer.Synced
	})
}

// activate joins a state with its lists.
func (e *Engine) activate(key rule.Key, s *state, sources map[sourceKey]*source, todo *changes) *active {
	before := e.current.Load()
	a := newActive(key, s)
	a.read, a.syncing = s.resolved && len(s.missing) == 0, !s.resolved
	for _, resolved := range s.references {
		joined := reference{Resolved: resolved, source: sources[keyOfSource(key, &resolved)]}
		switch at := e.objects.State(Consumer(s.rule), resolved.Resource); {
		case at.Phase != informer.Synced:
			joined.problem = unavailable(at.Message)
			a.read, a.syncing = false, a.syncing || at.Phase == informer.Syncing
		case !before.reads(key, s.generation, &joined):
			todo.source(joined.source).all = true
		}
		a.references = append(a.references, joined)
	}
	if s.resolved && s.rule.NeedsNamespace() {
		todo.allNamespaces = true
		a.syncing = a.syncing || e.objects.State(Consumer(s.rule), namespaces).Phase == informer.Syncing
	}
	earlier := before.rules[key]
	if earlier == nil || earlier.uid != s.uid {
		earlier = &active{}
	}
	if !a.read && !a.syncing {
		if a.lost = earlier.lost; a.lost.IsZero() {
			a.lost = e.clock.Now()
		}
	}
	a.read = a.read || earlier.read
	return a
}

// counts says whether a request of no known group is judged by a rule: not by one that the
// leader enforces nowhere, as it refers to what is not served or may not be read.
func (a *active) counts(now time.Time) bool {
	return a.syncing || a.read && (a.lost.IsZero() || now.Sub(a.lost) < policy.Lasting)
}

// judgesBy says whether requests are judged by what a state is about itself.
func (s *snapshot) judgesBy(of *state) bool {
	a, ok := s.rules[of.rule.Key()]
	return ok && a.rule == of.rule
}

// reads says whether the lists of a rule's reference were made for this
// generation of it.
func (s *snapshot) reads(key rule.Key, generation int64, ref *reference) bool {
	a, ok := s.rules[key]
	if !ok || a.generation != generation {
		return false
	}
	have, err := a.find(ref.Name)
	return err == nil && have.source == ref.source
}

func (e *Engine) readNamespaces(todo *changes) {
	if todo.allNamespaces {
		seen := map[string]struct{}{}
		for _, obj := range e.objects.List(namespaces, "") {
			seen[obj.GetName()] = struct{}{}
			e.known.Store(obj.GetName(), obj)
		}
		e.known.Range(func(name, _ any) bool {
			if _, there := seen[name.(string)]; !there {
				e.known.Delete(name)
			}
			return true
		})
		return
	}
	for name := range todo.namespaces {
		if obj := e.objects.Get(namespaces, "", name); obj != nil {
			e.known.Store(name, obj)
		} else {
			e.known.Delete(name)
		}
	}
}
