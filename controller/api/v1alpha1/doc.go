// Package v1alpha1 holds the kinds of the API group mainstay.dev: ClusterRule
// and Rule say what must hold of objects, Lifeline says which workloads must
// survive the loss of a failure domain, and Intervention records each action
// that Mainstay took or refused.
//
// The package imports apimachinery and k8s.io/api only, so that other programs
// can use the types without Mainstay's dependencies.
//
// +kubebuilder:object:generate=true
// +groupName=mainstay.dev
package v1alpha1
