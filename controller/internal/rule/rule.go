package rule

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Kinds of rules, as in Key.Kind.
const (
	KindClusterRule = "ClusterRule"
	KindRule        = "Rule"
)

// Key names a rule.
type Key struct {
	// Kind is ClusterRule or Rule.
	Kind string
	// Namespace of a Rule; empty for a ClusterRule.
	Namespace string
	// Name of the rule.
	Name string
}

// String is Kind/name or Kind/namespace/name.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + "/" + k.Name
	}
	return k.Kind + "/" + k.Namespace + "/" + k.Name
}

// Rule is a compiled rule. It does not change and is safe for concurrent use.
type Rule struct {
	key        Key
	generation int64
	spec       *v1alpha1.RuleSpec
	program    *expr.Program

	objectSelector    labels.Selector
	namespaceSelector labels.Selector
	references        []Reference
	referenceIndex    map[string]int
	exceptions        map[objectKey][]*v1alpha1.Exception
}

type objectKey struct {
	namespace, name string
}

// Key of the rule.
func (r *Rule) Key() Key {
	return r.key
}

// Generation of the rule's spec.
func (r *Rule) Generation() int64 {
	return r.generation
}

// Severity of the rule.
func (r *Rule) Severity() v1alpha1.Severity {
	return cmp.Or(r.spec.Severity, v1alpha1.SeverityMedium)
}

// Spec of the rule. It must not be changed.
func (r *Rule) Spec() *v1alpha1.RuleSpec {
	return r.spec
}

// Audits says whether the rule judges objects that exist.
func (r *Rule) Audits() bool {
	return HasMode(r.spec, v1alpha1.ModeAudit)
}

// Enforces says whether the rule judges requests.
func (r *Rule) Enforces() bool {
	return HasMode(r.spec, v1alpha1.ModeAdmission)
}

// HasMode says whether a spec has a mode. Without any it has Audit.
func HasMode(spec *v1alpha1.RuleSpec, mode v1alpha1.Mode) bool {
	if len(spec.Modes) == 0 {
		return mode == v1alpha1.ModeAudit
	}
	return slices.Contains(spec.Modes, mode)
}

// Beyond names what the rule's expressions use that the API server does not
// have.
func (r *Rule) Beyond() []string {
	return r.program.Beyond()
}

// RequestOnly names what the rule's expressions use that only a real request
// has. Such a rule cannot be evaluated on an object.
func (r *Rule) RequestOnly() []string {
	return r.program.RequestOnly()
}

// References of the rule, in the order of its spec.
func (r *Rule) References() []Reference {
	return r.references
}

// Reads is what evaluating and matching reads of an object.
func (r *Rule) Reads() expr.Mask {
	return r.program.Reads()
}

// ReadsOf is what evaluating reads of the objects of the named reference.
func (r *Rule) ReadsOf(reference string) expr.Mask {
	return r.program.ReadsOf(reference)
}

// NeedsNamespace says whether matching or evaluating a namespaced object needs
// its Namespace.
func (r *Rule) NeedsNamespace() bool {
	return !r.namespaceSelector.Empty() || r.program.UsesNamespace()
}

// ReadsNamespace says whether an expression reads namespaceObject.
func (r *Rule) ReadsNamespace() bool {
	return r.program.UsesNamespace()
}

// NextExpiry is when the next exception lapses after now, if any does.
func (r *Rule) NextExpiry(now time.Time) (time.Time, bool) {
	var next time.Time
	for i := range r.spec.Exceptions {
		expires := r.spec.Exceptions[i].Expires
		if expires == nil || !expires.After(now) {
			continue
		}
		if next.IsZero() || expires.Time.Before(next) {
			next = expires.Time
		}
	}
	return next, !next.IsZero()
}
