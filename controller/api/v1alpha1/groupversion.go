package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "mainstay.dev", Version: "v1alpha1"} //nolint:gochecknoglobals // a constant in all but the language

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&ClusterRule{}, &ClusterRuleList{},
		&Rule{}, &RuleList{},
		&Lifeline{}, &LifelineList{},
		&Intervention{}, &InterventionList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
