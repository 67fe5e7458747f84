package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	limitFile = "memory.limit_in_bytes"
	// starved is less than a Go program can live with, in bytes.
	starved = 4 << 20
	// squeezeEvery is how often new containers are looked for, and how often a
	// container that still lives is squeezed again.
	squeezeEvery = 250 * time.Millisecond
	// listTimeout bounds one list of pods, so that a slow API server delays but does
	// not stop the fault.
	listTimeout = 5 * time.Second
	// firstKill bounds the wait for the first kill. A leader renews its lease every
	// few seconds, and an allocation of a page is enough.
	firstKill = 2 * time.Minute
)

// oomKills is a fault that has the kernel kill a controller whenever it runs.
type oomKills struct {
	mounts string

	mu    sync.Mutex
	loops map[Target]*squeezer
}

func newOOMKills(mounts string) *oomKills {
	return &oomKills{mounts: mounts, loops: map[Target]*squeezer{}}
}

func (o *oomKills) supported() error {
	return needHierarchy(o.mounts, "memory", limitFile, "CONFIG_MEMCG_V1")
}

func (o *oomKills) inject(ctx context.Context, t Target) error {
	s, err := o.squeezer(ctx, t)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, squeezeEvery, firstKill, true, func(context.Context) (bool, error) {
		return s.seen().killed, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the first OOM kill: %w", errors.Join(err, s.seen().err))
	}
	return nil
}

// squeezer returns the loop that keeps the fault up, and starts it where there is
// none.
func (o *oomKills) squeezer(ctx context.Context, t Target) (*squeezer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.loops[t]; ok {
		return s, nil
	}
	top, err := workerCgroup(t, o.mounts, "memory")
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(t.Cluster.Config())
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	// The fault outlives the call that injects it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &squeezer{target: t, client: client, top: top, began: time.Now(), stop: cancel, done: make(chan struct{})}
	go s.run(ctx)
	o.loops[t] = s
	return s, nil
}

// heal ends the loop and gives every container of the controller the limit of its
// spec. It does the latter without a loop too, for one that ended with its process.
func (o *oomKills) heal(ctx context.Context, t Target) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.loops[t]; ok {
		s.stop()
		<-s.done
		delete(o.loops, t)
	}
	top, err := workerCgroup(t, o.mounts, "memory")
	if err != nil {
		return err
	}
	running, err := runningOn(ctx, t)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range running {
		dir, err := cgroupOf(top, c.id)
		if err == nil {
			err = writeNumber(dir, limitFile, c.limit)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// squeezer keeps a controller's containers on one worker short of memory.
type squeezer struct {
	target Target
	client kubernetes.Interface
	top    string
	began  time.Time
	stop   context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	last sight
}

// sight is what a squeezer saw when it looked last: whether there has been a kill
// since it began, and what went wrong.
type sight struct {
	killed bool
	err    error
}

func (s *squeezer) seen() sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *squeezer) run(ctx context.Context) {
	defer close(s.done)
	wait.UntilWithContext(ctx, s.squeezeAll, squeezeEvery)
}

// squeezeAll squeezes what runs now. An error is kept for whoever waits for a kill;
// the next look may do better.
func (s *squeezer) squeezeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	pods, err := podsOf(ctx, s.client, s.target)
	errs := []error{err}
	for _, c := range runningIn(pods) {
		dir, err := cgroupOf(s.top, c.id)
		if err == nil {
			err = squeeze(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = sight{killed: s.last.killed || oomKilledSince(pods, s.began), err: errors.Join(errs...)}
}

// squeeze lowers a memory limit as far as the kernel lets it. cgroup v1 refuses a
// limit below what it cannot reclaim, with EBUSY: then what is in use now is the
// limit, and the next page that is asked for is one too many.
func squeeze(dir string) error {
	err := writeNumber(dir, limitFile, starved)
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	usage, err := readNumber(dir, "memory.usage_in_bytes")
	if err != nil {
		return err
	}
	// It may use more by now: the next look will see.
	if err := writeNumber(dir, limitFile, usage); err != nil && !errors.Is(err, syscall.EBUSY) {
		return err
	}
	return nil
}

// oomKilledSince reports whether a container was killed for its memory at that time
// or later. The API knows whole seconds.
func oomKilledSince(pods []corev1.Pod, began time.Time) bool {
	began = began.Truncate(time.Second)
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			for _, ended := range []*corev1.ContainerStateTerminated{status.State.Terminated, status.LastTerminationState.Terminated} {
				if ended != nil && ended.Reason == "OOMKilled" && !ended.FinishedAt.Time.Before(began) {
					return true
				}
			}
		}
	}
	return false
}
