package faults

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRunningIn(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	pods := []corev1.Pod{
		{
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "manager", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}},
				{Name: "unbounded"},
			}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "unbounded", ContainerID: "containerd://b", State: running},
				{Name: "manager", ContainerID: "containerd://a", State: running},
			}},
		},
		{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "manager"}, {Name: "waiting"}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "manager", ContainerID: "containerd://c", State: ended},
				{Name: "waiting"},
			}},
		},
	}
	want := []container{{id: "b", limit: noLimit}, {id: "a", limit: 1 << 30}}
	if diff := cmp.Diff(want, runningIn(pods), cmp.AllowUnexported(container{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestCgroupOf(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "kubepods", "burstable", "pod1", "abc")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := cgroupOf(top, "abc"); err != nil || got != dir {
		t.Errorf("got %q, %v, want %q", got, err, dir)
	}
	for name, top := range map[string]string{"no such container": filepath.Join(top, "kubepods", "besteffort"), "no such worker": top + "/absent"} {
		if got, err := cgroupOf(top, "other"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %q, %v, want fs.ErrNotExist", name, got, err)
		}
	}
}

func TestProcessesIn(t *testing.T) {
	dir := t.TempDir()
	if got, err := processesIn(dir); err != nil || got != nil {
		t.Errorf("a cgroup that is gone: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("12\n345\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := processesIn(dir)
	if diff := cmp.Diff([]int{12, 345}, got); err != nil || diff != "" {
		t.Errorf("%v: -want +got\n%s", err, diff)
	}
}

func TestWriteNumberMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := writeNumber(dir, "limit", 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want fs.ErrNotExist", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "limit"), []byte("12345\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeNumber(dir, "limit", -1); err != nil {
		t.Fatal(err)
	}
	if got, err := readNumber(dir, "limit"); err != nil || got != -1 {
		t.Errorf("got %d, %v, want -1", got, err)
	}
}

func TestOOMKilledSince(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	ended := func(reason string, after time.Duration) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{Reason: reason, FinishedAt: metav1.NewTime(began.Truncate(time.Second).Add(after))}
	}
	cases := map[string]struct {
		now, last *corev1.ContainerStateTerminated
		want      bool
	}{
		"never ended":                   {},
		"just killed":                   {now: ended("OOMKilled", time.Second), want: true},
		"killed in the second it began": {now: ended("OOMKilled", 0), want: true},
		"killed and started again":      {last: ended("OOMKilled", time.Second), want: true},
		"killed before":                 {last: ended("OOMKilled", -time.Second)},
		"ended by itself":               {now: ended("Error", time.Second)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pods := []corev1.Pod{{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				State:                corev1.ContainerState{Terminated: tc.now},
				LastTerminationState: corev1.ContainerState{Terminated: tc.last},
			}}}}}
			if got := oomKilledSince(pods, began); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}
