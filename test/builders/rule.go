package builders

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// spec has the methods that both kinds of rules share. S is the builder that
// they return.
type spec[S any] struct {
	self *S
	spec *v1alpha1.RuleSpec
}

// Match adds a resource whose objects the rule is about.
func (b spec[S]) Match(group, version, resource string) *S {
	return b.MatchNamed(group, version, resource)
}

// MatchNamed adds named objects of a resource.
func (b spec[S]) MatchNamed(group, version, resource string, names ...string) *S {
	rules := &b.spec.MatchConstraints.ResourceRules
	*rules = append(*rules, resourceRule(group, version, resource, names))
	return b.self
}

// Exclude adds a resource whose objects the rule is not about, or objects of
// it by name.
func (b spec[S]) Exclude(group, version, resource string, names ...string) *S {
	rules := &b.spec.MatchConstraints.ExcludeResourceRules
	*rules = append(*rules, resourceRule(group, version, resource, names))
	return b.self
}

// Operations replaces the operations of the resource that was added last.
func (b spec[S]) Operations(operations ...admissionregistrationv1.OperationType) *S {
	rules := b.spec.MatchConstraints.ResourceRules
	rules[len(rules)-1].Operations = operations
	return b.self
}

// Scope sets the scope of the resource that was added last.
func (b spec[S]) Scope(scope admissionregistrationv1.ScopeType) *S {
	rules := b.spec.MatchConstraints.ResourceRules
	rules[len(rules)-1].Scope = &scope
	return b.self
}

func resourceRule(group, version, resource string, names []string) admissionregistrationv1.NamedRuleWithOperations {
	return admissionregistrationv1.NamedRuleWithOperations{
		ResourceNames: names,
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource},
			},
		},
	}
}

// ObjectLabels selects objects by one of their labels.
func (b spec[S]) ObjectLabels(key, value string) *S {
	b.spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	return b.self
}

// NamespaceLabels selects objects by a label of their namespace.
func (b spec[S]) NamespaceLabels(key, value string) *S {
	b.spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	return b.self
}

// Condition adds a match condition.
func (b spec[S]) Condition(name, expression string) *S {
	b.spec.MatchConditions = append(b.spec.MatchConditions, admissionregistrationv1.MatchCondition{Name: name, Expression: expression})
	return b.self
}

// Variable adds a variable.
func (b spec[S]) Variable(name, expression string) *S {
	b.spec.Variables = append(b.spec.Variables, admissionregistrationv1.Variable{Name: name, Expression: expression})
	return b.self
}

// Validate adds a validation with a message, which may be empty.
func (b spec[S]) Validate(expression, message string) *S {
	b.spec.Validations = append(b.spec.Validations, admissionregistrationv1.Validation{Expression: expression, Message: message})
	return b.self
}

// MessageExpression sets that of the validation that was added last.
func (b spec[S]) MessageExpression(expression string) *S {
	b.spec.Validations[len(b.spec.Validations)-1].MessageExpression = expression
	return b.self
}

// Reason sets that of the validation that was added last.
func (b spec[S]) Reason(reason metav1.StatusReason) *S {
	b.spec.Validations[len(b.spec.Validations)-1].Reason = &reason
	return b.self
}

// Refer adds a reference; without namespaces to the object's own.
func (b spec[S]) Refer(name, apiVersion, kind string, namespaces ...string) *S {
	b.spec.References = append(b.spec.References, v1alpha1.Reference{
		Name: name, APIVersion: apiVersion, Kind: kind, Namespaces: namespaces,
	})
	return b.self
}

// ReferLabels narrows the reference that was added last.
func (b spec[S]) ReferLabels(key, value string) *S {
	b.spec.References[len(b.spec.References)-1].LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	return b.self
}

// Except adds an exception without an end.
func (b spec[S]) Except(namespace, name, reason string) *S {
	b.spec.Exceptions = append(b.spec.Exceptions, v1alpha1.Exception{Namespace: namespace, Name: name, Reason: reason})
	return b.self
}

// Until ends the exception that was added last.
func (b spec[S]) Until(end time.Time) *S {
	b.spec.Exceptions[len(b.spec.Exceptions)-1].Expires = &metav1.Time{Time: end}
	return b.self
}

// Severity sets the severity.
func (b spec[S]) Severity(severity v1alpha1.Severity) *S {
	b.spec.Severity = severity
	return b.self
}

// Modes sets where the rule is evaluated.
func (b spec[S]) Modes(modes ...v1alpha1.Mode) *S {
	b.spec.Modes = modes
	return b.self
}

// Actions sets what happens to a request that violates the rule.
func (b spec[S]) Actions(actions ...admissionregistrationv1.ValidationAction) *S {
	b.spec.ValidationActions = actions
	return b.self
}

// FailurePolicy sets what happens to a request that cannot be evaluated.
func (b spec[S]) FailurePolicy(policy admissionregistrationv1.FailurePolicyType) *S {
	b.spec.FailurePolicy = &policy
	return b.self
}

// Suspend stops the rule.
func (b spec[S]) Suspend() *S {
	b.spec.Suspend = true
	return b.self
}

// ClusterRuleBuilder builds a ClusterRule.
type ClusterRuleBuilder struct {
	spec[ClusterRuleBuilder]

	obj v1alpha1.ClusterRule
}

// MakeClusterRule starts a ClusterRule.
func MakeClusterRule(name string) *ClusterRuleBuilder {
	b := &ClusterRuleBuilder{obj: v1alpha1.ClusterRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClusterRule"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
	}}
	b.spec = spec[ClusterRuleBuilder]{self: b, spec: &b.obj.Spec}
	return b
}

// UID sets the UID.
func (b *ClusterRuleBuilder) UID(uid types.UID) *ClusterRuleBuilder {
	b.obj.UID = uid
	return b
}

// Generation sets the generation.
func (b *ClusterRuleBuilder) Generation(generation int64) *ClusterRuleBuilder {
	b.obj.Generation = generation
	return b
}

// Obj returns a copy of what was built.
func (b *ClusterRuleBuilder) Obj() *v1alpha1.ClusterRule {
	return b.obj.DeepCopy()
}

// RuleBuilder builds a Rule.
type RuleBuilder struct {
	spec[RuleBuilder]

	obj v1alpha1.Rule
}

// MakeRule starts a Rule.
func MakeRule(namespace, name string) *RuleBuilder {
	b := &RuleBuilder{obj: v1alpha1.Rule{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rule"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1},
	}}
	b.spec = spec[RuleBuilder]{self: b, spec: &b.obj.Spec}
	return b
}

// UID sets the UID.
func (b *RuleBuilder) UID(uid types.UID) *RuleBuilder {
	b.obj.UID = uid
	return b
}

// Generation sets the generation.
func (b *RuleBuilder) Generation(generation int64) *RuleBuilder {
	b.obj.Generation = generation
	return b
}

// Obj returns a copy of what was built.
func (b *RuleBuilder) Obj() *v1alpha1.Rule {
	return b.obj.DeepCopy()
}
