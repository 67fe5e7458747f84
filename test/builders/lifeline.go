package builders

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// LifelineBuilder builds a Lifeline.
type LifelineBuilder struct {
	obj v1alpha1.Lifeline
}

// MakeLifeline starts a Lifeline that selects every workload in its namespace
// and only observes.
func MakeLifeline(namespace, name string) *LifelineBuilder {
	return &LifelineBuilder{obj: v1alpha1.Lifeline{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Lifeline"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1},
		Spec: v1alpha1.LifelineSpec{
			TopologyKeys: []string{"kubernetes.io/hostname"},
			Heal:         v1alpha1.Heal{Mode: v1alpha1.HealOff, MaxEvictionsPerHour: 12},
		},
	}}
}

// UID sets the UID.
func (b *LifelineBuilder) UID(uid types.UID) *LifelineBuilder {
	b.obj.UID = uid
	return b
}

// Select narrows the members by a label.
func (b *LifelineBuilder) Select(key, value string) *LifelineBuilder {
	if b.obj.Spec.Selector.MatchLabels == nil {
		b.obj.Spec.Selector.MatchLabels = map[string]string{}
	}
	b.obj.Spec.Selector.MatchLabels[key] = value
	return b
}

// TopologyKeys sets the kinds of failure domains.
func (b *LifelineBuilder) TopologyKeys(keys ...string) *LifelineBuilder {
	b.obj.Spec.TopologyKeys = keys
	return b
}

// Profile sets that of one member.
func (b *LifelineBuilder) Profile(member string, profile v1alpha1.Profile) *LifelineBuilder {
	b.obj.Spec.Profiles = append(b.obj.Spec.Profiles, v1alpha1.MemberProfile{Name: member, Profile: profile})
	return b
}

// Lag watches for consumers that stopped.
func (b *LifelineBuilder) Lag(threshold time.Duration) *LifelineBuilder {
	b.obj.Spec.Lag = &v1alpha1.Lag{Threshold: metav1.Duration{Duration: threshold}}
	return b
}

// Heal sets what the healer may do, and how often an hour.
func (b *LifelineBuilder) Heal(mode v1alpha1.HealMode, evictionsPerHour int32) *LifelineBuilder {
	b.obj.Spec.Heal = v1alpha1.Heal{Mode: mode, MaxEvictionsPerHour: evictionsPerHour}
	return b
}

// Obj returns a copy of what was built.
func (b *LifelineBuilder) Obj() *v1alpha1.Lifeline {
	return b.obj.DeepCopy()
}
