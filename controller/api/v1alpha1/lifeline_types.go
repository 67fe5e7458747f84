package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Profile says how a workload stays available, and so how many replicas help it.
// +kubebuilder:validation:Enum=Standby;Singleton;ActiveActive
type Profile string

// Profiles.
const (
	// ProfileStandby is a leader-elected workload whose other replicas wait,
	// warm and Ready: two or more replicas in different failure domains.
	ProfileStandby Profile = "Standby"

	// ProfileSingleton is a workload that a second replica breaks or does not
	// help: exactly one replica, quickly placed elsewhere.
	ProfileSingleton Profile = "Singleton"

	// ProfileActiveActive is a workload whose replicas all serve.
	ProfileActiveActive Profile = "ActiveActive"
)

// HealMode says whether Mainstay acts on a Lifeline.
// +kubebuilder:validation:Enum=Off;DryRun;Auto
type HealMode string

// Heal modes.
const (
	// HealOff: observe only.
	HealOff HealMode = "Off"
	// HealDryRun: record each move that Auto would make as a refused
	// Intervention, and make none.
	HealDryRun HealMode = "DryRun"
	// HealAuto: move pods.
	HealAuto HealMode = "Auto"
)

// LifelineSpec names workloads that must survive the loss of any one failure
// domain, and how to heal them when they would not.
type LifelineSpec struct {
	// Selector of the Deployments and StatefulSets in this namespace that are
	// the members.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="an operator is In or NotIn and has values, or Exists or DoesNotExist and has none",fieldPath=".matchExpressions"
	// +required
	Selector metav1.LabelSelector `json:"selector"`

	// TopologyKeys are the node labels whose values are failure domains. A
	// node without the label belongs to no domain of that key.
	// +listType=set
	// +kubebuilder:default={"kubernetes.io/hostname"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	// +optional
	TopologyKeys []string `json:"topologyKeys,omitempty"`

	// Profiles overrides the profile of members by name. Without an entry, a
	// known controller (Flux's own, CoreDNS) has its known profile, a workload
	// whose pods hold a Lease is Standby, and every other one ActiveActive.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Profiles []MemberProfile `json:"profiles,omitempty"`

	// Lag watches Flux's Kustomizations and HelmReleases for consumers that
	// stopped following their source although their own status says Ready.
	// +optional
	Lag *Lag `json:"lag,omitempty"`

	// Heal says what Mainstay may do.
	// +kubebuilder:default={}
	// +optional
	Heal Heal `json:"heal,omitempty"`
}

// MemberProfile is the profile of one member.
type MemberProfile struct {
	// Name of the Deployment or StatefulSet.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Profile of the member.
	// +required
	Profile Profile `json:"profile"`
}

// Lag is the revision-lag signal.
type Lag struct {
	// Threshold is how long a source may hold a revision that its consumer has
	// not attempted before the consumer counts as stopped.
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('24h')",message="must be between 5s and 24h"
	// +optional
	Threshold metav1.Duration `json:"threshold,omitzero"`
}

// Heal says what Mainstay may do about a Lifeline.
type Heal struct {
	// Mode: Off, DryRun or Auto.
	// +kubebuilder:default=DryRun
	// +optional
	Mode HealMode `json:"mode,omitempty"`

	// MaxEvictionsPerHour bounds what Auto does to this Lifeline's pods.
	// +kubebuilder:default=12
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=120
	// +optional
	MaxEvictionsPerHour int32 `json:"maxEvictionsPerHour,omitempty"`
}

// Bounds of a Lifeline's status.
const (
	// MaxMembers is how many members a status lists.
	MaxMembers = 64
	// MaxNodes is how many nodes a member lists.
	MaxNodes = 64
	// MaxDomains is how many domains a status lists, those whose loss stops
	// most first.
	MaxDomains = 20
	// MaxLagging is how many lagging consumers a status lists, longest first.
	MaxLagging = 20
)

// LifelineStatus is where the members are and what each domain's loss would do.
type LifelineStatus struct {
	// ObservedGeneration is the generation that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Survivable, Alive (with spec.lag), Healing, Ready and
	// Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Survives says whether the members outlive the loss of any one domain.
	// +optional
	Survives *bool `json:"survives,omitempty"`

	// Weakest is the domain whose loss stops most; absent while the Lifeline
	// survives.
	// +optional
	Weakest *Domain `json:"weakest,omitempty"`

	// Domains are the failure domains that hold ready members, and what the
	// loss of each would do, worst first.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Domains []Domain `json:"domains,omitempty"`

	// Members are the selected workloads, by kind and name.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Members []Member `json:"members,omitempty"`

	// Lagging are consumers that stopped although their status says Ready.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Lagging []LaggingConsumer `json:"lagging,omitempty"`
}

// Domain is one failure domain and what its loss would do.
type Domain struct {
	// TopologyKey is the node label.
	TopologyKey string `json:"topologyKey"`
	// Name is the label's value.
	Name string `json:"name"`
	// Stops are members that would have no ready replica left and would not be
	// placed elsewhere quickly, or have none in reserve although they should.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Stops []string `json:"stops,omitempty"`
	// Interrupts are Singletons that would be started anew elsewhere.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Interrupts []string `json:"interrupts,omitempty"`
}

// Member is one workload of a Lifeline.
type Member struct {
	// Kind: Deployment or StatefulSet.
	Kind string `json:"kind"`
	// Name of the workload.
	Name string `json:"name"`
	// Profile that the member is judged by.
	Profile Profile `json:"profile"`
	// Desired is the number of replicas asked for.
	Desired int32 `json:"desired"`
	// Ready is the number of ready replicas.
	Ready int32 `json:"ready"`
	// Nodes are the nodes of the ready replicas, sorted, one entry a replica; the
	// first 64 of them.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Nodes []string `json:"nodes,omitempty"`
	// Leader is the pod that holds the member's Lease.
	// +optional
	Leader *Leader `json:"leader,omitempty"`
}

// Leader is the pod that holds a member's Lease.
type Leader struct {
	// Pod that holds the Lease.
	Pod string `json:"pod"`
	// Node of the pod.
	// +optional
	Node string `json:"node,omitempty"`
	// Lease that the pod holds.
	Lease string `json:"lease"`
}

// LaggingConsumer is a Kustomization or HelmRelease that has not attempted the
// revision that its source holds.
type LaggingConsumer struct {
	// Kind: Kustomization or HelmRelease.
	Kind string `json:"kind"`
	// Namespace of the consumer.
	Namespace string `json:"namespace"`
	// Name of the consumer.
	Name string `json:"name"`
	// Source is the kind, namespace and name of the source.
	Source string `json:"source"`
	// SourceRevision is what the source holds.
	SourceRevision string `json:"sourceRevision"`
	// AttemptedRevision is what the consumer last attempted.
	// +optional
	AttemptedRevision string `json:"attemptedRevision,omitempty"`
	// Since is when the source got its revision.
	Since metav1.Time `json:"since"`
}

// Lifeline is a set of workloads that must survive the loss of any one failure
// domain.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ll,categories=mainstay
// +kubebuilder:printcolumn:name="Survives",type=boolean,JSONPath=`.status.survives`
// +kubebuilder:printcolumn:name="Weakest",type=string,JSONPath=`.status.weakest.name`
// +kubebuilder:printcolumn:name="Stops",type=string,JSONPath=`.status.weakest.stops`
// +kubebuilder:printcolumn:name="Alive",type=string,JSONPath=`.status.conditions[?(@.type=="Alive")].status`
// +kubebuilder:printcolumn:name="Healing",type=string,JSONPath=`.status.conditions[?(@.type=="Healing")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Survivable")].message`
type Lifeline struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec LifelineSpec `json:"spec"`
	// Status of an object that nobody has looked at yet speaks of no generation:
	// without that, a health check takes it for one that is well.
	// +kubebuilder:default={"observedGeneration":-1}
	Status LifelineStatus `json:"status,omitempty"`
}

// LifelineList is a list of Lifelines.
// +kubebuilder:object:root=true
type LifelineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Lifeline `json:"items"`
}
