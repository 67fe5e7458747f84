package builders

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// DeploymentBuilder builds a Deployment.
type DeploymentBuilder struct {
	obj appsv1.Deployment
}

// MakeDeployment starts a Deployment of one replica and one container whose
// pods have the label app with its name.
func MakeDeployment(namespace, name string) *DeploymentBuilder {
	labels := map[string]string{"app": name}
	replicas := int32(1)
	return &DeploymentBuilder{obj: appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "registry.example/" + name + ":v1"}}},
			},
		},
	}}
}

// UID sets the UID.
func (b *DeploymentBuilder) UID(uid types.UID) *DeploymentBuilder {
	b.obj.UID = uid
	return b
}

// Label sets a label of the Deployment.
func (b *DeploymentBuilder) Label(key, value string) *DeploymentBuilder {
	b.obj.Labels[key] = value
	return b
}

// PodLabel sets a label of its pods.
func (b *DeploymentBuilder) PodLabel(key, value string) *DeploymentBuilder {
	b.obj.Spec.Template.Labels[key] = value
	return b
}

// Replicas sets how many are asked for.
func (b *DeploymentBuilder) Replicas(n int32) *DeploymentBuilder {
	b.obj.Spec.Replicas = &n
	return b
}

// Ready sets how many are ready and available.
func (b *DeploymentBuilder) Ready(n int32) *DeploymentBuilder {
	b.obj.Status.Replicas = n
	b.obj.Status.ReadyReplicas = n
	b.obj.Status.AvailableReplicas = n
	return b
}

// Args sets those of the container.
func (b *DeploymentBuilder) Args(args ...string) *DeploymentBuilder {
	b.obj.Spec.Template.Spec.Containers[0].Args = args
	return b
}

// Image sets that of the container.
func (b *DeploymentBuilder) Image(image string) *DeploymentBuilder {
	b.obj.Spec.Template.Spec.Containers[0].Image = image
	return b
}

// Spread adds a topology spread constraint over the pods' label app.
func (b *DeploymentBuilder) Spread(topologyKey string, when corev1.UnsatisfiableConstraintAction) *DeploymentBuilder {
	spec := &b.obj.Spec.Template.Spec
	spec.TopologySpreadConstraints = append(spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: topologyKey, WhenUnsatisfiable: when, LabelSelector: b.obj.Spec.Selector.DeepCopy(),
	})
	return b
}

// Obj returns a copy of what was built.
func (b *DeploymentBuilder) Obj() *appsv1.Deployment {
	return b.obj.DeepCopy()
}

// PodBuilder builds a Pod.
type PodBuilder struct {
	obj corev1.Pod
}

// MakePod starts a Pod of one container.
func MakePod(namespace, name string) *PodBuilder {
	return &PodBuilder{obj: corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "registry.example/" + name + ":v1"}}},
	}}
}

// UID sets the UID.
func (b *PodBuilder) UID(uid types.UID) *PodBuilder {
	b.obj.UID = uid
	return b
}

// Label sets a label.
func (b *PodBuilder) Label(key, value string) *PodBuilder {
	b.obj.Labels[key] = value
	return b
}

// Node places the pod.
func (b *PodBuilder) Node(name string) *PodBuilder {
	b.obj.Spec.NodeName = name
	return b
}

// Ready makes the pod run and sets its Ready condition.
func (b *PodBuilder) Ready(ready bool) *PodBuilder {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	b.obj.Status.Phase = corev1.PodRunning
	b.obj.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	return b
}

// OwnedBy makes another object the controller of the pod.
func (b *PodBuilder) OwnedBy(apiVersion, kind, name string, uid types.UID) *PodBuilder {
	controller := true
	b.obj.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: &controller,
	}}
	return b
}

// Obj returns a copy of what was built.
func (b *PodBuilder) Obj() *corev1.Pod {
	return b.obj.DeepCopy()
}

// NodeBuilder builds a Node.
type NodeBuilder struct {
	obj corev1.Node
}

// MakeNode starts a Node that is Ready and has its hostname label.
func MakeNode(name string) *NodeBuilder {
	b := &NodeBuilder{obj: corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
	}}
	return b.Ready(true)
}

// Label sets a label.
func (b *NodeBuilder) Label(key, value string) *NodeBuilder {
	b.obj.Labels[key] = value
	return b
}

// Ready sets the Ready condition.
func (b *NodeBuilder) Ready(ready bool) *NodeBuilder {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	b.obj.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	return b
}

// Cordon makes the Node unschedulable.
func (b *NodeBuilder) Cordon() *NodeBuilder {
	b.obj.Spec.Unschedulable = true
	return b
}

// Taint adds a taint.
func (b *NodeBuilder) Taint(key, value string, effect corev1.TaintEffect) *NodeBuilder {
	b.obj.Spec.Taints = append(b.obj.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	return b
}

// Obj returns a copy of what was built.
func (b *NodeBuilder) Obj() *corev1.Node {
	return b.obj.DeepCopy()
}
