package fluxrun

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// placeTries bounds how often a leader is moved. With several standbys another one than
// that on the worker can win the lease.
const placeTries = 6

// Placed tells whether the leader of a controller runs on a worker, and no standby with
// it.
func (f *Flux) Placed(ctx context.Context, controller, worker string) (bool, error) {
	leader, err := f.leader(ctx, controller)
	if err != nil {
		return false, err
	}
	pods, err := f.Pods(ctx, controller)
	return leader.Spec.NodeName == worker && beside(pods, leader) == nil, err
}

// beside is a pod that is on the leader's node and stays; nil when there is none.
func beside(pods []corev1.Pod, leader *corev1.Pod) *corev1.Pod {
	for i := range pods {
		if pods[i].Name != leader.Name && pods[i].Spec.NodeName == leader.Spec.NodeName && pods[i].DeletionTimestamp == nil {
			return &pods[i]
		}
	}
	return nil
}

// Place has the leader of a controller run on a worker, and every standby on another,
// and leaves nothing behind that would keep them there: nodes are cordoned for as long
// as a pod is moved. It returns when every replica is Ready. It needs a cluster that is
// well, and two workers when there are standbys.
func (f *Flux) Place(ctx context.Context, controller, worker string) error {
	for range placeTries {
		leader, err := f.settled(ctx, controller)
		if err != nil {
			return fmt.Errorf("placing %s on %s: %w", controller, worker, err)
		}
		if leader.Spec.NodeName == worker {
			moved, err := f.moveAway(ctx, controller, leader)
			if err != nil {
				return fmt.Errorf("placing %s on %s: %w", controller, worker, err)
			}
			if !moved {
				return nil
			}
			continue
		}
		if err := f.moveCloser(ctx, controller, worker, leader); err != nil {
			return fmt.Errorf("placing %s on %s: %w", controller, worker, err)
		}
	}
	return fmt.Errorf("placing %s on %s: it led from elsewhere, or a standby was beside it, after each of %d moves", controller, worker, placeTries)
}

// moveAway deletes a standby that is beside the leader, and has its replacement come up
// elsewhere: the spread of the replicas is soft, and the scheduler can miss that a node
// has just been cordoned.
func (f *Flux) moveAway(ctx context.Context, controller string, leader *corev1.Pod) (moved bool, err error) {
	pods, err := f.Pods(ctx, controller)
	if err != nil {
		return false, err
	}
	standby := beside(pods, leader)
	if standby == nil {
		return false, nil
	}
	f.say("moving %s: deleting pod %s beside its leader on %s", controller, standby.Name, leader.Spec.NodeName)
	uncordon, err := f.cordon(ctx, func(node string) bool { return node == leader.Spec.NodeName })
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, uncordon(ctx)) }()
	if err := f.deletePod(ctx, standby); err != nil {
		return true, err
	}
	_, err = f.settled(ctx, controller)
	return true, err
}

// settled waits until a controller is rolled out and one of its Ready pods leads.
func (f *Flux) settled(ctx context.Context, controller string) (*corev1.Pod, error) {
	var leader *corev1.Pod
	err := await(ctx, controller+" to be settled", func(ctx context.Context) error {
		if err := f.rolledOut(ctx, controller); err != nil {
			return err
		}
		var err error
		leader, err = f.leader(ctx, controller)
		return err
	})
	return leader, err
}

// moveCloser deletes one pod: the leader, when a standby on the worker can take over,
// and otherwise one that then comes up on the worker.
func (f *Flux) moveCloser(ctx context.Context, controller, worker string, leader *corev1.Pod) (err error) {
	pods, err := f.Pods(ctx, controller)
	if err != nil {
		return err
	}
	victim, takeover := choose(pods, leader, worker)
	f.say("moving %s: deleting pod %s on %s", controller, victim.Name, victim.Spec.NodeName)
	if takeover {
		return f.handOver(ctx, controller, worker, victim)
	}
	uncordon, err := f.cordon(ctx, func(node string) bool { return node != worker })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, uncordon(ctx)) }()
	if err := f.deletePod(ctx, victim); err != nil {
		return err
	}
	_, err = f.settled(ctx, controller)
	return err
}

// handOver deletes the leader and has a standby take over before the replacement
// starts, which then comes up on another worker.
func (f *Flux) handOver(ctx context.Context, controller, worker string, leader *corev1.Pod) (err error) {
	uncordonWorker, err := f.cordon(ctx, func(node string) bool { return node == worker })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, uncordonWorker(ctx)) }()
	if err := f.takeOver(ctx, controller, leader); err != nil {
		return err
	}
	_, err = f.settled(ctx, controller)
	return err
}

// takeOver deletes the leader and waits until another pod leads. Meanwhile no pod can
// be scheduled.
func (f *Flux) takeOver(ctx context.Context, controller string, leader *corev1.Pod) (err error) {
	uncordon, err := f.cordon(ctx, func(string) bool { return true })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, uncordon(ctx)) }()
	if err := f.deletePod(ctx, leader); err != nil {
		return err
	}
	return await(ctx, "a standby of "+controller+" to take over", func(ctx context.Context) error {
		next, err := f.leader(ctx, controller)
		if err == nil && next.UID == leader.UID {
			err = fmt.Errorf("pod %s still leads", leader.Name)
		}
		return err
	})
}

// choose picks the pod to delete. With takeover it is the leader, and a standby is on
// the worker: no replacement may start before that leads, or it would compete for the
// lease. Otherwise the replacement has to come up on the worker.
func choose(pods []corev1.Pod, leader *corev1.Pod, worker string) (victim *corev1.Pod, takeover bool) {
	for i := range pods {
		if pods[i].Spec.NodeName == worker {
			return leader, true
		}
	}
	for i := range pods {
		if pods[i].Name != leader.Name {
			return &pods[i], false
		}
	}
	return leader, false
}

// deletePod deletes a pod, and no other that has its name by now, and waits until it
// is gone.
func (f *Flux) deletePod(ctx context.Context, pod *corev1.Pod) error {
	err := f.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return await(ctx, "pod "+pod.Name+" to be gone", func(ctx context.Context) error {
		var current corev1.Pod
		err := f.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, &current)
		switch {
		case apierrors.IsNotFound(err), err == nil && current.UID != pod.UID:
			return nil
		case err != nil:
			return fmt.Errorf("reading pod %s: %w", pod.Name, err)
		}
		return errors.New("it is still there")
	})
}
