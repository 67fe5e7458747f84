package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

func TestTimeline(t *testing.T) {
	fault := time.Unix(1000, 0)
	at := func(s int) time.Time { return fault.Add(time.Duration(s) * time.Second) }
	line := timeline{since: fault}
	line.add("a", "True", at(-2))
	line.add("b", "True", at(-2))
	line.add("a", "True", at(50))
	line.add("a", "Unknown", at(52))
	line.add("b", "True", at(54))
	line.add("a", "Unknown", at(60))
	want := []record.Seen{
		{Name: "a", Value: "True", From: -2, To: 52},
		{Name: "b", Value: "True", From: -2, To: 54},
		{Name: "a", Value: "Unknown", From: 52, To: 60},
	}
	if diff := cmp.Diff(want, line.seen); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	if notes := line.notes("nodes"); notes != nil {
		t.Errorf("notes of a whole timeline: %v", notes)
	}
}

func TestTimelineIsBounded(t *testing.T) {
	line := timeline{since: time.Unix(0, 0)}
	for i := range maxSeen + 7 {
		line.add("a", fmt.Sprint(i), time.Unix(int64(i), 0))
	}
	if len(line.seen) != maxSeen {
		t.Errorf("%d entries, want %d", len(line.seen), maxSeen)
	}
	if diff := cmp.Diff([]string{"nodes: 7 further changes were left out"}, line.notes("nodes")); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestNodeSays(t *testing.T) {
	ready := []corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: "False"}, {Type: corev1.NodeReady, Status: "Unknown"}}
	tests := map[string]struct {
		node corev1.Node
		want string
	}{
		"a status":     {corev1.Node{Status: corev1.NodeStatus{Conditions: ready}}, "Unknown"},
		"cordoned":     {corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}, Status: corev1.NodeStatus{Conditions: ready}}, "Unknown, cordoned"},
		"no condition": {corev1.Node{}, "no Ready condition"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nodeSays(&test.node); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestReadySays(t *testing.T) {
	condition := func(kind, status, message string) map[string]any {
		return map[string]any{"type": kind, "status": status, "message": message}
	}
	tests := map[string]struct {
		conditions []any
		want       string
	}{
		"Ready among others": {
			[]any{condition("Reconciling", "True", "x"), condition("Ready", "True", "Applied revision:\nmain@sha1:abc")},
			"Ready=True, Applied revision: main@sha1:abc",
		},
		"a long message is cut": {
			[]any{condition("Ready", "False", strings.Repeat("ü", 200))},
			"Ready=False, " + strings.Repeat("ü", 160) + "…",
		},
		"none": {[]any{condition("Healthy", "True", "")}, "no Ready condition"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": test.conditions}}}
			if got := readySays(object); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func pod(uid, node string, restarts int32) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod-" + uid, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{RestartCount: restarts}}},
	}
}

func TestPodRecord(t *testing.T) {
	crashed := pod("1", "worker-1", 9)
	crashed.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	crashed.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}
	want := record.Pod{
		Name: "pod-1", Node: "worker-1", Restarts: 7, Waiting: "CrashLoopBackOff", Ended: "Error, exit code 1", Log: []string{"x"},
	}
	if diff := cmp.Diff(want, podRecord(&crashed, []corev1.Pod{pod("1", "worker-1", 2)}, []string{"x"})); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	quiet := pod("1", "worker-1", 2)
	quiet.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}
	if diff := cmp.Diff(record.Pod{Name: "pod-1", Node: "worker-1"}, podRecord(&quiet, []corev1.Pod{pod("1", "worker-1", 2)}, nil)); diff != "" {
		t.Errorf("a pod that ended before the fault only (-want +got):\n%s", diff)
	}
	fresh := pod("2", "worker-2", 1)
	if diff := cmp.Diff(record.Pod{Name: "pod-2", Node: "worker-2", Restarts: 1}, podRecord(&fresh, nil, nil)); diff != "" {
		t.Errorf("a new pod (-want +got):\n%s", diff)
	}
}

func TestMovedFrom(t *testing.T) {
	before := []corev1.Pod{pod("1", "worker-1", 0), pod("2", "worker-2", 0)}
	tests := map[string]struct {
		after []corev1.Pod
		want  bool
	}{
		"nothing changed":            {before, false},
		"restarted in place":         {[]corev1.Pod{pod("1", "worker-1", 3)}, false},
		"a new pod on the same one":  {[]corev1.Pod{pod("3", "worker-1", 0)}, false},
		"a new pod on another":       {[]corev1.Pod{pod("1", "worker-1", 0), pod("3", "worker-3", 0)}, true},
		"a new pod without a worker": {[]corev1.Pod{pod("3", "", 0)}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := movedFrom("worker-1", before, test.after); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	identity := func(s string) *string { return &s }
	tests := map[string]struct {
		identity *string
		want     bool
	}{
		"with a UUID":           {identity("pod-1_5f0c"), true},
		"the name alone":        {identity("pod-1"), true},
		"a pod of another name": {identity("pod-12_5f0c"), false},
		"nobody":                {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := holds(test.identity, "pod-1"); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
