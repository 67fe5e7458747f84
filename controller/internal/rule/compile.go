package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Compile returns the rule of a spec, or everything that is wrong with it. The
// spec is not kept.
func Compile(c *expr.Compiler, key Key, generation int64, spec *v1alpha1.RuleSpec) (*Rule, field.ErrorList) {
	spec = spec.DeepCopy()
	r := &Rule{
		key:            key,
		generation:     generation,
		spec:           spec,
		referenceIndex: make(map[string]int, len(spec.References)),
		exceptions:     make(map[objectKey][]*v1alpha1.Exception, len(spec.Exceptions)),
	}
	path := field.NewPath("spec")
	errs := r.compileConstraints(path.Child("matchConstraints"))
	errs = append(errs, r.compileReferences(path.Child("references"))...)
	errs = append(errs, r.compileExceptions(path.Child("exceptions"))...)
	errs = append(errs, validateValidations(spec.Validations, path.Child("validations"))...)

	source := &expr.Source{
		MatchConditions: spec.MatchConditions,
		Variables:       spec.Variables,
		Validations:     spec.Validations,
		RequestsOnly:    !r.Audits(),
		// Who asks reads the message, and the webhook reads what it refers to.
		NoRefsInMessages: key.Kind == KindRule && r.Enforces(),
		NoRightsOfOthers: key.Kind == KindRule,
	}
	for i := range spec.References {
		source.Refs = append(source.Refs, spec.References[i].Name)
	}
	if n := source.Len(); n > expr.MaxText {
		return nil, append(errs, field.Invalid(path, n, fmt.Sprintf("all expressions together may have %d bytes: make two rules of this one", expr.MaxText)))
	}
	program, mistakes := c.Compile(source)
	for _, mistake := range mistakes {
		errs = append(errs, mistake.FieldError(path))
	}
	if len(errs) > 0 {
		return nil, errs
	}
	r.program = program
	return r, nil
}

// ReasonOf is the reason of the conditions that report mistakes.
func ReasonOf(mistakes field.ErrorList) string {
	for _, mistake := range mistakes {
		if strings.Contains(mistake.Field, "xpression") {
			return v1alpha1.ReasonInvalidExpression
		}
	}
	return v1alpha1.ReasonInvalidSpec
}

func (r *Rule) compileConstraints(path *field.Path) field.ErrorList {
	constraints := &r.spec.MatchConstraints
	var errs field.ErrorList
	var err *field.Error
	if r.objectSelector, err = selectorOf(constraints.ObjectSelector, path.Child("objectSelector")); err != nil {
		errs = append(errs, err)
	}
	if r.namespaceSelector, err = selectorOf(constraints.NamespaceSelector, path.Child("namespaceSelector")); err != nil {
		errs = append(errs, err)
	}
	if r.key.Kind == KindRule && constraints.NamespaceSelector != nil {
		errs = append(errs, field.Forbidden(path.Child("namespaceSelector"), "a namespaced Rule matches its own namespace only"))
	}
	errs = append(errs, validateResourceRules(constraints.ResourceRules, r.Audits(), path.Child("resourceRules"))...)
	errs = append(errs, validateEntries(constraints.ExcludeResourceRules, path.Child("excludeResourceRules"))...)
	return errs
}

// selectorOf is the selector of an optional field: without it everything is
// selected.
func selectorOf(s *metav1.LabelSelector, path *field.Path) (labels.Selector, *field.Error) {
	if s == nil {
		return labels.Everything(), nil
	}
	if errs := metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, path); len(errs) > 0 {
		return labels.Nothing(), errs[0]
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing(), field.Invalid(path, metav1.FormatLabelSelector(s), err.Error())
	}
	return selector, nil
}

// validateResourceRules wants an entry about objects that exist of a rule that
// is audited.
func validateResourceRules(rules []admissionregistrationv1.NamedRuleWithOperations, audited bool, path *field.Path) field.ErrorList {
	if len(rules) == 0 {
		return field.ErrorList{field.Required(path, "at least one resource rule must be given")}
	}
	if errs := validateEntries(rules, path); len(errs) > 0 || !audited {
		return errs
	}
	for i := range rules {
		if followed(&rules[i]) {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path, field.OmitValueType{},
		"none of the entries matches objects that exist: that takes the operation CREATE, UPDATE or * and a resource that is no subresource")}
}

func validateEntries(rules []admissionregistrationv1.NamedRuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		at := path.Index(i)
		for name, values := range map[string]int{
			"apiGroups": len(rules[i].APIGroups), "apiVersions": len(rules[i].APIVersions),
			"operations": len(rules[i].Operations), "resources": len(rules[i].Resources),
		} {
			if values == 0 {
				errs = append(errs, field.Required(at.Child(name), "at least one must be given"))
			}
		}
		operations := []admissionregistrationv1.OperationType{
			admissionregistrationv1.OperationAll, admissionregistrationv1.Create, admissionregistrationv1.Update,
			admissionregistrationv1.Delete, admissionregistrationv1.Connect,
		}
		for j, operation := range rules[i].Operations {
			if !slices.Contains(operations, operation) {
				errs = append(errs, field.NotSupported(at.Child("operations").Index(j), operation, operations))
			}
		}
		scopes := []admissionregistrationv1.ScopeType{
			admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope,
		}
		if scope := rules[i].Scope; scope != nil && !slices.Contains(scopes, *scope) {
			errs = append(errs, field.NotSupported(at.Child("scope"), *scope, scopes))
		}
	}
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Field, b.Field) })
	return errs
}

func (r *Rule) compileReferences(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range r.spec.References {
		reference, mistakes := r.compileReference(&r.spec.References[i], path.Index(i))
		errs = append(errs, mistakes...)
		if _, ok := r.referenceIndex[reference.Name]; ok {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), reference.Name))
		}
		r.referenceIndex[reference.Name] = i
		r.references = append(r.references, reference)
	}
	return errs
}

func (r *Rule) compileReference(spec *v1alpha1.Reference, path *field.Path) (Reference, field.ErrorList) {
	var errs field.ErrorList
	reference := Reference{Name: spec.Name}
	if !expr.IsIdentifier(spec.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), spec.Name, "must be a CEL identifier"))
	}
	gv, err := schema.ParseGroupVersion(spec.APIVersion)
	if err != nil || gv.Version == "" {
		errs = append(errs, field.Invalid(path.Child("apiVersion"), spec.APIVersion, "must be version or group/version"))
	}
	if spec.Kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), "must be given"))
	}
	reference.GVK = gv.WithKind(spec.Kind)
	var mistake *field.Error
	if reference.Selector, mistake = selectorOf(spec.LabelSelector, path.Child("labelSelector")); mistake != nil {
		errs = append(errs, mistake)
	}
	switch names := spec.Namespaces; {
	case len(names) == 0 || len(names) == 1 && names[0] == v1alpha1.NamespacesSame:
		reference.Namespaces.Same = true
	case r.key.Kind == KindRule:
		errs = append(errs, field.Forbidden(path.Child("namespaces"), "a namespaced Rule refers to its own namespace only"))
	case len(names) == 1 && names[0] == v1alpha1.NamespacesAll:
		reference.Namespaces.All = true
	case slices.Contains(names, v1alpha1.NamespacesSame) || slices.Contains(names, v1alpha1.NamespacesAll):
		errs = append(errs, field.Invalid(path.Child("namespaces"), names, "Same and All stand alone"))
	default:
		reference.Namespaces.Names = names
	}
	return reference, errs
}

func (r *Rule) compileExceptions(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range r.spec.Exceptions {
		exception := &r.spec.Exceptions[i]
		key := objectKey{namespace: exception.Namespace, name: exception.Name}
		if r.key.Kind == KindRule {
			if key.namespace != "" && key.namespace != r.key.Namespace {
				errs = append(errs, field.Forbidden(path.Index(i).Child("namespace"), "a namespaced Rule has exceptions in its own namespace only"))
			}
			key.namespace = r.key.Namespace
		}
		r.exceptions[key] = append(r.exceptions[key], exception)
	}
	return errs
}

func validateValidations(validations []admissionregistrationv1.Validation, path *field.Path) field.ErrorList {
	if len(validations) == 0 {
		return field.ErrorList{field.Required(path, "at least one validation must be given")}
	}
	// The reasons that the API server takes of a ValidatingAdmissionPolicy. Its
	// documentation has Unauthorized, too, which it refuses.
	reasons := []metav1.StatusReason{
		metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge,
	}
	var errs field.ErrorList
	for i := range validations {
		if reason := validations[i].Reason; reason != nil && !slices.Contains(reasons, *reason) {
			errs = append(errs, field.NotSupported(path.Index(i).Child("reason"), *reason, reasons))
		}
	}
	return errs
}
