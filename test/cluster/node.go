package cluster

import (
	"runtime"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// simulatedAnnotation with the value simulatedValue marks a Node that kwok plays.
	// Both are kwok's own.
	simulatedAnnotation = "kwok.x-k8s.io/node"
	simulatedValue      = "fake"
	// maxWorkers keeps a worker's number within one byte of its addresses.
	maxWorkers = 200
	// maxRealWorkers is what one machine can be expected to bear.
	maxRealWorkers = 20
)

func workerName(number int) string { return "worker-" + strconv.Itoa(number) }

// podCIDR is a range of its own for each worker, so that no two pods have one IP.
func podCIDR(number int) string { return "10.244." + strconv.Itoa(number) + ".0/24" }

func nodeIP(number int) string { return "10.89.0." + strconv.Itoa(number+10) }

// newNode is the Node of a worker as its kubelet would register it.
func newNode(number int, opts Options, kubeletVersion string) *corev1.Node {
	name := workerName(number)
	labels := map[string]string{
		corev1.LabelHostname:   name,
		corev1.LabelOSStable:   "linux",
		corev1.LabelArchStable: runtime.GOARCH,
	}
	if zone := opts.zone(number); zone != "" {
		labels[corev1.LabelTopologyZone] = zone
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      labels,
			Annotations: map[string]string{simulatedAnnotation: simulatedValue},
		},
		Spec: corev1.NodeSpec{PodCIDR: podCIDR(number), PodCIDRs: []string{podCIDR(number)}},
		Status: corev1.NodeStatus{
			Capacity:    opts.Allocatable.DeepCopy(),
			Allocatable: opts.Allocatable.DeepCopy(),
			NodeInfo: corev1.NodeSystemInfo{
				Architecture:    runtime.GOARCH,
				OperatingSystem: "linux",
				KubeletVersion:  kubeletVersion,
			},
		},
	}
}

// simulated reports whether kwok plays the node.
func simulated(node *corev1.Node) bool {
	return node.Annotations[simulatedAnnotation] == simulatedValue
}

// saidSince reports whether the Ready condition is from since or later, to the second,
// which is what the API has.
func saidSince(node *corev1.Node, since time.Time) bool {
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return !cond.LastHeartbeatTime.Time.Before(since.Truncate(time.Second))
		}
	}
	return false
}

// nodeReady reports whether the node is Ready and open to pods.
func nodeReady(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}
