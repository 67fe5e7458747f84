package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Action is what an Intervention does to its target.
// +kubebuilder:validation:Enum=Evict
type Action string

// Actions.
const (
	// ActionEvict asks the Eviction API to remove a pod, with the pod's UID as
	// precondition.
	ActionEvict Action = "Evict"
)

// Phase of an Intervention. A phase is only ever left in this order:
// Claimed, then one of the others.
// +kubebuilder:validation:Enum=Claimed;Done;Failed;Refused
type Phase string

// Phases.
const (
	// PhaseClaimed: the action may be under way. An Intervention whose holder
	// died before it could say so has no phase.
	PhaseClaimed Phase = "Claimed"
	// PhaseDone: the effect was seen.
	PhaseDone Phase = "Done"
	// PhaseFailed: the API server refused the action, or it is not known to
	// have had an effect and nobody is going to try it under this claim again.
	PhaseFailed Phase = "Failed"
	// PhaseRefused: Mainstay decided against the action, and the message says
	// why (a dry run, for example).
	PhaseRefused Phase = "Refused"
)

// LabelDryRun on an Intervention, with the value "true", marks the record of a move
// that nobody makes, from its creation on.
const LabelDryRun = "mainstay.dev/dry-run"

// InterventionSpec is the claim. It never changes.
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of an Intervention never changes: it is the claim"
type InterventionSpec struct {
	// Owner is the Lifeline or rule on whose behalf the action is taken.
	// +required
	Owner OwnerReference `json:"owner"`

	// Action to take.
	// +required
	Action Action `json:"action"`

	// Target of the action.
	// +required
	Target TargetReference `json:"target"`

	// Attempt counts the claims on the same owner, action and target, from 1.
	// +kubebuilder:validation:Minimum=1
	// +required
	Attempt int32 `json:"attempt"`

	// Holder is the leader that made the claim.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Holder string `json:"holder"`

	// Reason says in a sentence why the action is taken.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Reason string `json:"reason"`

	// Evidence is a digest of what the decision was made from. The same
	// evidence is not acted on again after a move that changed nothing.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Evidence string `json:"evidence,omitempty"`
}

// OwnerReference names the object on whose behalf an action is taken.
type OwnerReference struct {
	// Kind: Lifeline, Rule or ClusterRule.
	// +kubebuilder:validation:Enum=Lifeline;Rule;ClusterRule
	// +required
	Kind string `json:"kind"`
	// Namespace of the owner; empty for a ClusterRule.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the owner.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// UID of the owner.
	// +required
	UID types.UID `json:"uid"`
}

// TargetReference names one object, by UID, that an action is about.
type TargetReference struct {
	// APIVersion of the target.
	// +kubebuilder:validation:MaxLength=317
	// +required
	APIVersion string `json:"apiVersion"`
	// Kind of the target.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Kind string `json:"kind"`
	// Namespace of the target.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the target.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// UID of the target: the action is void for any other object of its name.
	// +required
	UID types.UID `json:"uid"`
	// Node that the target is on, where it is a pod.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Node string `json:"node,omitempty"`
	// Workload that the target belongs to, where it is a pod, as Kind/name.
	// +kubebuilder:validation:MaxLength=317
	// +optional
	Workload string `json:"workload,omitempty"`
}

// Verdict says whether an action helped.
// +kubebuilder:validation:Enum=Improved;Futile
type Verdict string

// Verdicts.
const (
	// VerdictImproved: the Lifeline survives more than before.
	VerdictImproved Verdict = "Improved"
	// VerdictFutile: it does not; the move is not repeated while its evidence
	// stays the same, before it and after.
	VerdictFutile Verdict = "Futile"
)

// InterventionStatus is what came of the claim.
type InterventionStatus struct {
	// Phase: Claimed, Done, Failed or Refused.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// Message says what happened.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Message string `json:"message,omitempty"`

	// CompletedAt is when the phase became final.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`

	// Verdict says whether the action helped, once that can be told.
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`

	// Evidence is a digest of what a futile action was judged in: the workload's
	// template and number of replicas, and the nodes that could take a pod. The
	// action is taken again where it is another.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Evidence string `json:"evidence,omitempty"`
}

// Intervention is one action that Mainstay took or refused: the claim that
// makes it happen at most once, and the record of it. It lives in Mainstay's
// own namespace and is deleted when its retention is over.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=iv,categories=mainstay
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.name`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.target.node`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="For",type=string,JSONPath=`.spec.owner.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
type Intervention struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   InterventionSpec   `json:"spec"`
	Status InterventionStatus `json:"status,omitempty"`
}

// InterventionList is a list of Interventions.
// +kubebuilder:object:root=true
type InterventionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Intervention `json:"items"`
}
