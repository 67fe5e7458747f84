package v1alpha1

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Severity says how much a violation matters to the one who is paged.
// +kubebuilder:validation:Enum=info;low;medium;high;critical
type Severity string

// Severities, least first.
const (
	SeverityInfo     Severity = "info"
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// Mode is where a rule is evaluated.
// +kubebuilder:validation:Enum=Admission;Audit
type Mode string

// Modes.
const (
	// ModeAdmission: requests are judged as they reach the API server.
	ModeAdmission Mode = "Admission"
	// ModeAudit: objects are judged as they are, again with every change.
	ModeAudit Mode = "Audit"
)

// RuleSpec says what must hold of the objects that it matches. Its field names
// and meanings are those of a ValidatingAdmissionPolicy wherever both have them.
type RuleSpec struct {
	// Suspend stops the rule: nothing is watched or reported for it.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Severity is copied to findings, Events and metrics.
	// +kubebuilder:default=medium
	// +optional
	Severity Severity `json:"severity,omitempty"`

	// Modes are where the rule is evaluated: Audit, Admission or both. With
	// Admission the API server itself judges requests, or Mainstay's webhook where
	// an expression uses references or selectorMatches.
	// +listType=set
	// +kubebuilder:default={Audit}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +optional
	Modes []Mode `json:"modes,omitempty"`

	// ValidationActions are what happens to a request that violates the rule,
	// with mode Admission. Deny and Warn exclude each other.
	// +listType=set
	// +kubebuilder:default={Deny}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=Deny;Warn;Audit
	// +kubebuilder:validation:XValidation:rule="!('Deny' in self && 'Warn' in self)",message="Deny and Warn exclude each other"
	// +optional
	ValidationActions []admissionregistrationv1.ValidationAction `json:"validationActions,omitempty"`

	// FailurePolicy says what happens to a request that cannot be evaluated,
	// with mode Admission. On the recovery path it is Ignore, whatever is said
	// here.
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Ignore
	// +optional
	FailurePolicy *admissionregistrationv1.FailurePolicyType `json:"failurePolicy,omitempty"`

	// MatchConstraints selects the objects that the rule is about.
	// +required
	MatchConstraints MatchConstraints `json:"matchConstraints"`

	// MatchConditions are CEL expressions that all have to be true for an
	// object to be evaluated. An error in one is an outcome of its own
	// (error), never "does not match".
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.name.size() <= 317 && c.expression.size() <= 8192)",message="an expression may have 8192 characters, a name 317"
	// +optional
	MatchConditions []admissionregistrationv1.MatchCondition `json:"matchConditions,omitempty"`

	// Variables are CEL expressions, evaluated when first used, that later
	// variables and the validations see as variables.<name>.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(v, v.name.size() <= 63 && v.expression.size() <= 8192)",message="an expression may have 8192 characters, a name 63"
	// +optional
	Variables []admissionregistrationv1.Variable `json:"variables,omitempty"`

	// Validations are CEL expressions that must be true. They see object,
	// oldObject (null in the audit), request, namespaceObject, variables and
	// refs; authorizer and who makes the request with the modes [Admission] only.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(v, v.expression.size() <= 8192 && (!has(v.messageExpression) || v.messageExpression.size() <= 8192) && (!has(v.message) || v.message.size() <= 1024))",message="an expression may have 8192 characters, a message 1024"
	// +required
	Validations []admissionregistrationv1.Validation `json:"validations"`

	// References are lists of other objects that expressions see as
	// refs.<name>. A change of a referenced object re-evaluates what depends
	// on it.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +optional
	References []Reference `json:"references,omitempty"`

	// Exceptions are objects that the rule knowingly does not hold for. They
	// are reported as skipped.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +optional
	Exceptions []Exception `json:"exceptions,omitempty"`
}

// MatchConstraints selects objects by resource and by label.
type MatchConstraints struct {
	// NamespaceSelector selects objects by the labels of their namespace, and
	// a Namespace by its own. It never excludes other cluster-scoped objects.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// ObjectSelector selects objects by their own labels.
	// +optional
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`

	// ResourceRules are the resources that the rule matches; one match is
	// enough. The audit looks at objects that exist, so it follows the entries
	// whose operations include CREATE, UPDATE or "*", and no subresources; of a
	// rule with mode Audit at least one entry has to be such.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +required
	ResourceRules []admissionregistrationv1.NamedRuleWithOperations `json:"resourceRules"`

	// ExcludeResourceRules are resources that the rule does not match, even
	// where ResourceRules do.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	ExcludeResourceRules []admissionregistrationv1.NamedRuleWithOperations `json:"excludeResourceRules,omitempty"`
}

// Reference is a named list of objects of one kind.
type Reference struct {
	// Name of the list: expressions see it as refs.<name>.
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
	// +kubebuilder:validation:MaxLength=63
	// +required
	Name string `json:"name"`

	// APIVersion of the kind, for example apps/v1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +required
	APIVersion string `json:"apiVersion"`

	// Kind of the objects, for example Deployment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Kind string `json:"kind"`

	// Namespaces to take objects from: [Same], the evaluated object's own
	// (the default, and all that a namespaced Rule may say); [All]; or names.
	// It has no meaning for a cluster-scoped kind, all of whose objects are
	// listed.
	// +listType=set
	// +kubebuilder:default={Same}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || !self.exists(n, n in ['Same', 'All'])",message="Same and All stand alone"
	// +kubebuilder:validation:XValidation:rule="self.all(n, n in ['Same', 'All'] || n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="must be Same, All or names of namespaces"
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`

	// LabelSelector narrows the list.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// Values of Reference.Namespaces that are not names. Both have an upper-case
// letter, which the name of a namespace cannot have.
const (
	NamespacesSame = "Same"
	NamespacesAll  = "All"
)

// Exception is one object that a rule knowingly does not hold for.
type Exception struct {
	// Namespace of the object; empty for a cluster-scoped one.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Reason why, for whoever reads the report.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Reason string `json:"reason"`

	// Expires is when the exception lapses by itself. Without it, it stays.
	// The pattern leaves out what the format date-time allows and Kubernetes'
	// own time type cannot read: one such value would keep every rule from
	// being listed.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`
}

// Outcome of evaluating one rule on one object.
// +kubebuilder:validation:Enum=pass;fail;error;skip
type Outcome string

// Outcomes.
const (
	// OutcomePass: every validation was true.
	OutcomePass Outcome = "pass"
	// OutcomeFail: at least one validation was false.
	OutcomeFail Outcome = "fail"
	// OutcomeError: an expression failed at run time or exceeded its cost
	// limit, so that it is not known whether the rule holds.
	OutcomeError Outcome = "error"
	// OutcomeSkip: an exception covers the object.
	OutcomeSkip Outcome = "skip"
)

// MaxViolations is how many findings a rule's status lists.
const MaxViolations = 20

// Enforcement is what judges requests for a rule.
// +kubebuilder:validation:Enum=InProcess;Webhook;AuditOnly
type Enforcement string

// Enforcements.
const (
	// EnforcementInProcess: the API server itself, by a
	// ValidatingAdmissionPolicy. It needs no pod of Mainstay.
	EnforcementInProcess Enforcement = "InProcess"
	// EnforcementWebhook: Mainstay's webhook, because the rule uses what the API
	// server cannot evaluate. It does not reach the recovery path.
	EnforcementWebhook Enforcement = "Webhook"
	// EnforcementAuditOnly: nothing does, the rule has no mode Admission.
	EnforcementAuditOnly Enforcement = "AuditOnly"
)

// RuleStatus is what the audit found, and whether requests are judged.
type RuleStatus struct {
	// ObservedGeneration is the generation that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Stalled while the spec has to be changed, and Enforced
	// on a rule with mode Admission.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Enforcement is what judges requests, or would have to; absent while the
	// rule is suspended or does not compile.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// Summary counts the matched objects by outcome.
	// +optional
	Summary *RuleSummary `json:"summary,omitempty"`

	// Violations are the first findings with the outcome fail or error, by
	// namespace and name.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Violations []Violation `json:"violations,omitempty"`
}

// RuleSummary counts matched objects by outcome.
type RuleSummary struct {
	// Pass counts objects that the rule holds for.
	Pass int32 `json:"pass"`
	// Fail counts objects that it does not hold for.
	Fail int32 `json:"fail"`
	// Error counts objects that it could not be evaluated on.
	Error int32 `json:"error"`
	// Skip counts objects under an exception.
	Skip int32 `json:"skip"`
}

// Violation is one object that a rule does not hold for, or could not be
// evaluated on.
type Violation struct {
	// APIVersion of the object.
	APIVersion string `json:"apiVersion"`
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for a cluster-scoped one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Outcome: fail or error.
	Outcome Outcome `json:"outcome"`
	// Reason is the validation's reason, for outcome fail.
	// +optional
	Reason metav1.StatusReason `json:"reason,omitempty"`
	// Message of the first validation that did not hold, at most 1 KiB.
	Message string `json:"message"`
}

// ClusterRule says what must hold of objects in the whole cluster.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=crule,categories=mainstay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.status.enforcement`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.conditions[?(@.type=="Enforced")].status`
// +kubebuilder:printcolumn:name="Severity",type=string,JSONPath=`.spec.severity`
// +kubebuilder:printcolumn:name="Fail",type=integer,JSONPath=`.status.summary.fail`
// +kubebuilder:printcolumn:name="Error",type=integer,JSONPath=`.status.summary.error`
// +kubebuilder:printcolumn:name="Pass",type=integer,JSONPath=`.status.summary.pass`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ClusterRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec RuleSpec `json:"spec"`
	// Status of an object that nobody has looked at yet speaks of no generation:
	// without that, a health check takes it for one that is well.
	// +kubebuilder:default={"observedGeneration":-1}
	Status RuleStatus `json:"status,omitempty"`
}

// ClusterRuleList is a list of ClusterRules.
// +kubebuilder:object:root=true
type ClusterRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClusterRule `json:"items"`
}

// Rule says what must hold of objects in its own namespace. It neither matches
// nor refers to anything outside it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=mrule,categories=mainstay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.status.enforcement`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.conditions[?(@.type=="Enforced")].status`
// +kubebuilder:printcolumn:name="Severity",type=string,JSONPath=`.spec.severity`
// +kubebuilder:printcolumn:name="Fail",type=integer,JSONPath=`.status.summary.fail`
// +kubebuilder:printcolumn:name="Error",type=integer,JSONPath=`.status.summary.error`
// +kubebuilder:printcolumn:name="Pass",type=integer,JSONPath=`.status.summary.pass`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="!has(self.spec.references) || self.spec.references.all(r, r.namespaces == ['Same'])",message="a namespaced Rule refers to its own namespace only: references[].namespaces must be [Same]",fieldPath=".spec.references"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.matchConstraints.namespaceSelector)",message="a namespaced Rule matches its own namespace only: matchConstraints.namespaceSelector must not be set",fieldPath=".spec.matchConstraints.namespaceSelector"
type Rule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec RuleSpec `json:"spec"`
	// Status of an object that nobody has looked at yet speaks of no generation:
	// without that, a health check takes it for one that is well.
	// +kubebuilder:default={"observedGeneration":-1}
	Status RuleStatus `json:"status,omitempty"`
}

// RuleList is a list of Rules.
// +kubebuilder:object:root=true
type RuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Rule `json:"items"`
}
