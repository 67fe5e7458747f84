package rule

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// APIResource is a resource that the API server serves.
type APIResource struct {
	schema.GroupVersionResource
	// Kind of its objects.
	Kind string
	// Namespaced says whether its objects are in namespaces.
	Namespaced bool
	// Preferred says whether the version is the one that the API server
	// prefers for the group.
	Preferred bool
}

// audited returns the operations that an object which exists may have come from.
func audited() [2]admissionregistrationv1.OperationType {
	return [...]admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update}
}

// MatchesResource says whether the rule is about objects of a resource.
func (r *Rule) MatchesResource(gvr schema.GroupVersionResource, namespaced bool) bool {
	if r.key.Kind == KindRule && !namespaced {
		return false
	}
	constraints := &r.spec.MatchConstraints
	for _, operation := range audited() {
		if !slices.ContainsFunc(constraints.ResourceRules, func(entry admissionregistrationv1.NamedRuleWithOperations) bool {
			return coversOperation(&entry, operation) && Covers(&entry, gvr, "", namespaced)
		}) {
			continue
		}
		if !slices.ContainsFunc(constraints.ExcludeResourceRules, func(entry admissionregistrationv1.NamedRuleWithOperations) bool {
			return len(entry.ResourceNames) == 0 && coversOperation(&entry, operation) && Covers(&entry, gvr, "", namespaced)
		}) {
			return true
		}
	}
	return false
}

// Resources are those of the discovered resources whose objects the rule is
// about: of each group and resource one version, the preferred one where the
// rule matches it and otherwise the first.
func (r *Rule) Resources(discovered []APIResource) []APIResource {
	var resources []APIResource
	index := map[schema.GroupResource]int{}
	for _, resource := range discovered {
		if !r.MatchesResource(resource.GroupVersionResource, resource.Namespaced) {
			continue
		}
		i, found := index[resource.GroupResource()]
		switch {
		case !found:
			index[resource.GroupResource()] = len(resources)
			resources = append(resources, resource)
		case resource.Preferred && !resources[i].Preferred:
			resources[i] = resource
		}
	}
	return resources
}

// MatchesObject says whether the rule is about an object of a resource that it
// matches, as far as names and labels tell. Of a namespaced object the labels
// of its Namespace are given. A Namespace is selected by its own labels, and
// no other cluster-scoped object is excluded by the namespaceSelector.
func (r *Rule) MatchesObject(gvr schema.GroupVersionResource, obj *unstructured.Unstructured, namespace map[string]string) bool {
	if r.key.Kind == KindRule && obj.GetNamespace() != r.key.Namespace {
		return false
	}
	return r.namesMatch(gvr, obj) && r.labelsMatch(gvr, obj, namespace)
}

func (r *Rule) labelsMatch(gvr schema.GroupVersionResource, obj *unstructured.Unstructured, namespace map[string]string) bool {
	if !r.objectSelector.Empty() && !r.objectSelector.Matches(labels.Set(obj.GetLabels())) {
		return false
	}
	switch {
	case r.namespaceSelector.Empty():
		return true
	case obj.GetNamespace() != "":
		return r.namespaceSelector.Matches(labels.Set(namespace))
	case gvr.Group == "" && gvr.Resource == "namespaces":
		return r.namespaceSelector.Matches(labels.Set(obj.GetLabels()))
	}
	return true
}

// namesMatch asks the resource rules again where one of them has names.
func (r *Rule) namesMatch(gvr schema.GroupVersionResource, obj *unstructured.Unstructured) bool {
	constraints := &r.spec.MatchConstraints
	named := func(entry admissionregistrationv1.NamedRuleWithOperations) bool { return len(entry.ResourceNames) > 0 }
	if !slices.ContainsFunc(constraints.ResourceRules, named) && !slices.ContainsFunc(constraints.ExcludeResourceRules, named) {
		return true
	}
	namespaced := obj.GetNamespace() != ""
	for _, operation := range audited() {
		covers := func(entry admissionregistrationv1.NamedRuleWithOperations) bool {
			return (len(entry.ResourceNames) == 0 || slices.Contains(entry.ResourceNames, obj.GetName())) &&
				coversOperation(&entry, operation) && Covers(&entry, gvr, "", namespaced)
		}
		if slices.ContainsFunc(constraints.ResourceRules, covers) && !slices.ContainsFunc(constraints.ExcludeResourceRules, covers) {
			return true
		}
	}
	return false
}

// followed says whether an entry can match objects that exist.
func followed(entry *admissionregistrationv1.NamedRuleWithOperations) bool {
	for _, operation := range audited() {
		if coversOperation(entry, operation) && slices.ContainsFunc(entry.Resources, wholeObjects) {
			return true
		}
	}
	return false
}

// wholeObjects says whether a resource pattern is about objects and not about
// a subresource alone. The API server takes pods/* for pods, too.
func wholeObjects(pattern string) bool {
	_, subresource, _ := strings.Cut(pattern, "/")
	return subresource == "" || subresource == "*"
}

func coversOperation(entry *admissionregistrationv1.NamedRuleWithOperations, operation admissionregistrationv1.OperationType) bool {
	return slices.Contains(entry.Operations, operation) ||
		slices.Contains(entry.Operations, admissionregistrationv1.OperationAll)
}

// Covers says whether an entry of resource rules is about a resource or a subresource of it,
// whatever the operation. As the API server has it, pods/* is about pods, too, and * about
// no subresource.
func Covers(entry *admissionregistrationv1.NamedRuleWithOperations, gvr schema.GroupVersionResource, subresource string, namespaced bool) bool {
	return coversScope(entry.Scope, namespaced) && covers(entry.APIGroups, gvr.Group) && covers(entry.APIVersions, gvr.Version) &&
		slices.ContainsFunc(entry.Resources, func(pattern string) bool {
			name, sub, _ := strings.Cut(pattern, "/")
			return (name == "*" || name == gvr.Resource) && (sub == "*" || sub == subresource)
		})
}

func coversScope(scope *admissionregistrationv1.ScopeType, namespaced bool) bool {
	switch ptr.Deref(scope, admissionregistrationv1.AllScopes) {
	case admissionregistrationv1.ClusterScope:
		return !namespaced
	case admissionregistrationv1.NamespacedScope:
		return namespaced
	case admissionregistrationv1.AllScopes:
	}
	return true
}

func covers(patterns []string, value string) bool {
	return slices.Contains(patterns, value) || slices.Contains(patterns, "*")
}
