package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// noLimit is what a container without a memory limit has.
const noLimit = -1

// container is a running container of a controller.
type container struct {
	id string
	// limit is the memory that its spec allows it, in bytes, or noLimit.
	limit int64
}

// runningOn returns the containers of the controller that run on the worker.
func runningOn(ctx context.Context, t Target) ([]container, error) {
	client, err := kubernetes.NewForConfig(t.Cluster.Config())
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	pods, err := podsOf(ctx, client, t)
	return runningIn(pods), err
}

// podsOf returns the controller's pods on the worker.
func podsOf(ctx context.Context, client kubernetes.Interface, t Target) ([]corev1.Pod, error) {
	pods, err := client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: "app=" + t.App,
		FieldSelector: "spec.nodeName=" + t.Worker,
	})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of %s on %s: %w", t.App, t.Worker, err)
	}
	return pods.Items, nil
}

// runningIn returns the containers of the pods that run.
func runningIn(pods []corev1.Pod) []container {
	var all []container
	for _, pod := range pods {
		limits := map[string]int64{}
		for _, c := range pod.Spec.Containers {
			limits[c.Name] = noLimit
			if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
				limits[c.Name] = limit.Value()
			}
		}
		for _, status := range pod.Status.ContainerStatuses {
			// The runtime is named first: containerd://<id>.
			if _, id, ok := strings.Cut(status.ContainerID, "://"); ok && status.State.Running != nil {
				all = append(all, container{id: id, limit: limits[status.Name]})
			}
		}
	}
	return all
}

// cgroupOf returns the folder of a container's cgroup below top, or fs.ErrNotExist.
// With the kubelet's cgroupfs driver it has the container's id for a name.
func cgroupOf(top, id string) (string, error) {
	found := ""
	err := eachCgroup(top, func(dir string) error {
		if filepath.Base(dir) != id {
			return nil
		}
		found = dir
		return fs.SkipAll
	})
	if err == nil && found == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", fmt.Errorf("finding the cgroup of container %s: %w", id, err)
	}
	return found, nil
}

// eachCgroup visits a cgroup and all below it. Cgroups come and go; those that are
// gone are left out.
func eachCgroup(top string, visit func(dir string) error) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		return visit(path)
	})
}

// processesIn returns the ids of the processes in a cgroup, as this process sees
// them. A cgroup that is gone has none.
func processesIn(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	// A cgroup that is removed while its file is open gives ENODEV.
	if errors.Is(err, fs.ErrNotExist) || isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the processes of a cgroup: %w", err)
	}
	var ids []int
	for field := range strings.FieldsSeq(string(text)) {
		id, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("listing the processes of %s: %w", dir, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// workerCgroup is the folder of the worker's cgroup in a hierarchy.
func workerCgroup(t Target, mounts, hierarchy string) (string, error) {
	path, err := t.Cluster.WorkerCgroup(t.Worker)
	if err != nil {
		return "", err
	}
	return filepath.Join(mounts, hierarchy, path), nil
}
