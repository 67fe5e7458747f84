package policy

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
)

// Recovery is what no rule may keep from recovering, and who does that.
type Recovery struct {
	// Namespaces are those where a policy denies only what people and scripts edit
	// directly, and where no entry of the webhook matches anything.
	Namespaces []string
	// Infrastructure are the namespaces whose service accounts are not judged about what
	// is in no namespace: those of the network and the storage.
	Infrastructure []string
	// Users are treated as the control plane is, beside its own names: those by which a
	// provider runs a part of it. One that ends in * is all whose names begin so.
	Users []string
}

// FluxNamespace is where Flux is, unless somebody says otherwise.
const FluxNamespace = "flux-system"

// RecoveryNamespaces are those that are on the recovery path of every cluster, beside
// Mainstay's own.
func RecoveryNamespaces() []string {
	return []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, FluxNamespace}
}

// IsRecoveryKind says whether all objects of a resource are on the recovery path,
// wherever they are.
func IsRecoveryKind(resource schema.GroupResource) bool {
	return slices.ContainsFunc(recoveryKinds(), func(kind admissionregistrationv1.NamedRuleWithOperations) bool {
		return kind.APIGroups[0] == resource.Group && slices.ContainsFunc(kind.Resources, func(path string) bool {
			name, subresource, _ := strings.Cut(path, "/")
			return (name == "*" || name == resource.Resource) && (subresource == "" || subresource == "*")
		})
	})
}

// recoveryKinds are what keeps a cluster alive in every namespace and outside
// of them: nodes, leases and placement, what is needed to be admitted at all,
// what identities and rights are made of, attached storage, and any status.
func recoveryKinds() []admissionregistrationv1.NamedRuleWithOperations {
	const (
		all        = admissionregistrationv1.AllScopes
		cluster    = admissionregistrationv1.ClusterScope
		namespaced = admissionregistrationv1.NamespacedScope
	)
	return []admissionregistrationv1.NamedRuleWithOperations{
		resources("", cluster, "nodes/*", "namespaces/*"),
		resources("", namespaced, "bindings", "pods/binding"),
		resources("*", all, "*/status"),
		resources("admissionregistration.k8s.io", cluster, "*/*"),
		resources("apiextensions.k8s.io", cluster, "customresourcedefinitions/*"),
		resources("apiregistration.k8s.io", cluster, "apiservices/*"),
		resources("authentication.k8s.io", all, "*/*"),
		resources("authorization.k8s.io", all, "*/*"),
		resources("certificates.k8s.io", cluster, "certificatesigningrequests/*"),
		resources("coordination.k8s.io", all, "*/*"),
		resources("rbac.authorization.k8s.io", all, "*/*"),
		resources("storage.k8s.io", all, "csidrivers", "csinodes", "csistoragecapacities", "volumeattachments"),
	}
}

// ownKinds are judged nowhere, as the API server judges no policy by a policy: a
// rule that denies everything can be deleted.
func ownKinds() admissionregistrationv1.NamedRuleWithOperations {
	return resources(v1alpha1.GroupVersion.Group, admissionregistrationv1.AllScopes, "*/*")
}

// gateRecord keeps all gates open. A rule that denies everything must not deny it; in
// guarded namespaces its name is like any other.
func gateRecord() admissionregistrationv1.NamedRuleWithOperations {
	out := resources("", admissionregistrationv1.NamespacedScope, "configmaps")
	out.ResourceNames = []string{gate.RecordName}
	return out
}

// resources are all operations on resources of a group, in all versions.
func resources(group string, scope admissionregistrationv1.ScopeType, names ...string) admissionregistrationv1.NamedRuleWithOperations {
	return admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: names, Scope: &scope,
		},
	}}
}

// inNamespaces binds to what is in namespaces and of no recovery kind.
func inNamespaces(namespaces []string) *admissionregistrationv1.MatchResources {
	out := matchAll()
	out.NamespaceSelector.MatchExpressions = []metav1.LabelSelectorRequirement{named(metav1.LabelSelectorOpIn, namespaces)}
	out.ResourceRules = []admissionregistrationv1.NamedRuleWithOperations{resources("*", admissionregistrationv1.NamespacedScope, "*/*")}
	out.ExcludeResourceRules = append(recoveryKinds(), gateRecord())
	return out
}

// ofKinds binds to the recovery kinds, wherever they are.
func ofKinds() *admissionregistrationv1.MatchResources {
	out := matchAll()
	out.ResourceRules = recoveryKinds()
	return out
}

// matchAll has the API server's defaults.
func matchAll() *admissionregistrationv1.MatchResources {
	equivalent := admissionregistrationv1.Equivalent
	return &admissionregistrationv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{}, MatchPolicy: &equivalent,
	}
}

// named is a requirement on the name of a namespace.
func named(operator metav1.LabelSelectorOperator, namespaces []string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: operator, Values: slices.Sorted(slices.Values(namespaces))}
}

// notBypassed leaves out namespaces with the label LabelBypass.
func notBypassed() metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: v1alpha1.LabelBypass, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"true"}}
}
