package policy

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Options of a compilation.
type Options struct {
	Recovery Recovery
	// Served is all that the API server serves requests about, as in WebhookOptions; nil
	// where that is not known.
	Served []rule.APIResource
	// Now decides which exceptions have lapsed.
	Now time.Time
	// PolicyOwner and BindingOwner own what is compiled. Without either of the
	// two objects nothing is judged, so the end of one owner is enough.
	PolicyOwner, BindingOwner metav1.OwnerReference
}

// Objects are what the API server needs for one rule, with every default
// spelled out, so that they compare with what it stores.
type Objects struct {
	// Policies: for guarded objects, and for the recovery path. One that the
	// rule cannot match anything with is left out.
	Policies []*admissionregistrationv1.ValidatingAdmissionPolicy
	// Bindings of these policies.
	Bindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding
	// NextExpiry is when an exception lapses next, so that the objects have to
	// be compiled again; zero for never. CEL knows no clock.
	NextExpiry time.Time
	// Unserved says that nothing is served which the rule matches, so that no request is
	// judged: the version that it names may not be served any more.
	Unserved bool
}

// Compile returns what enforces a rule, or why nothing can. There is nothing of
// a rule without mode Admission, and of one that the webhook enforces.
func Compile(r *rule.Rule, opts Options) (*Objects, *Refusal) {
	out := &Objects{}
	if !r.Enforces() {
		return out, nil
	}
	if refusal := Check(r); refusal != nil {
		return nil, refusal
	}
	if NeedsWebhook(r) {
		return out, nil
	}
	out.NextExpiry, _ = r.NextExpiry(opts.Now)
	out.Unserved = opts.Served != nil && !matches(r, opts.Served)
	reach := newReach(constraintsOf(r), opts.Recovery.Namespaces)
	common := commonConditions(r, opts.Now)

	if reach.guarded {
		name := objectName(guardedPrefix, r.Key())
		out.addPolicy(r, opts, name, failurePolicyOf(r), guardedConstraints(r, opts.Recovery.Namespaces),
			conditions(conditionGuarded, guarded(opts.Recovery), "", common, r.Spec().MatchConditions))
		out.addBinding(r, opts, name, name, nil)
	}
	if reach.namespaces || reach.kinds {
		name := objectName(recoveryPrefix, r.Key())
		out.addPolicy(r, opts, name, admissionregistrationv1.Ignore, recoveryConstraints(r),
			conditions(conditionEdited, edited(opts.Recovery), "", common, r.Spec().MatchConditions))
		if reach.namespaces {
			out.addBinding(r, opts, name, name, inNamespaces(opts.Recovery.Namespaces))
		}
		if reach.kinds {
			out.addBinding(r, opts, objectName(recoveryKindsPrefix, r.Key()), name, ofKinds())
		}
	}
	return out, nil
}

func (o *Objects) addPolicy(r *rule.Rule, opts Options, name string, failure admissionregistrationv1.FailurePolicyType,
	constraints *admissionregistrationv1.MatchResources, conditions []admissionregistrationv1.MatchCondition,
) {
	spec := r.Spec()
	o.Policies = append(o.Policies, &admissionregistrationv1.ValidatingAdmissionPolicy{
		TypeMeta:   typeMeta("ValidatingAdmissionPolicy"),
		ObjectMeta: objectMeta(r.Key(), name, opts.PolicyOwner),
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &failure,
			MatchConstraints: constraints,
			MatchConditions:  conditions,
			Variables:        spec.Variables,
			Validations:      validationsOf(r),
		},
	})
}

func (o *Objects) addBinding(r *rule.Rule, opts Options, name, policy string, resources *admissionregistrationv1.MatchResources) {
	o.Bindings = append(o.Bindings, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   typeMeta("ValidatingAdmissionPolicyBinding"),
		ObjectMeta: objectMeta(r.Key(), name, opts.BindingOwner),
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy, ValidationActions: ActionsOf(r), MatchResources: resources,
		},
	})
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: kind}
}

func objectMeta(key rule.Key, name string, owner metav1.OwnerReference) metav1.ObjectMeta {
	labels := LabelsOf(key)
	labels["app.kubernetes.io/part-of"] = v1alpha1.ManagedBy
	return metav1.ObjectMeta{
		Name: name, Labels: labels,
		Annotations:     map[string]string{v1alpha1.AnnotationRule: key.String()},
		OwnerReferences: []metav1.OwnerReference{owner},
	}
}

// LabelsOf are the labels of a rule's objects. Other rules of long names may
// have the same.
func LabelsOf(key rule.Key) map[string]string {
	labels := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRuleKind: key.Kind}
	if key.Namespace != "" {
		labels[v1alpha1.LabelRuleNamespace] = key.Namespace
	}
	if len(key.Name) <= maxLabelValue {
		labels[v1alpha1.LabelRuleName] = key.Name
	}
	return labels
}

func failurePolicyOf(r *rule.Rule) admissionregistrationv1.FailurePolicyType {
	return ptr.Deref(r.Spec().FailurePolicy, admissionregistrationv1.Fail)
}
