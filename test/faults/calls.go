package faults

import (
	"context"
	"errors"
	"slices"
)

// drainTimeout bounds kubectl drain. Flux's pods end within their grace period of
// 10 s; a budget that blocks the drain for longer is a result, told by the error.
const drainTimeout = "2m"

// calls is a fault that the cluster itself, or kubectl, brings about.
type calls struct {
	on, off func(context.Context, Target) error
}

func (calls) supported() error                             { return nil }
func (c calls) inject(ctx context.Context, t Target) error { return c.on(ctx, t) }
func (c calls) heal(ctx context.Context, t Target) error   { return c.off(ctx, t) }

func failWorker(ctx context.Context, t Target) error { return t.Cluster.FailWorker(ctx, t.Worker) }

func recoverWorker(ctx context.Context, t Target) error {
	return t.Cluster.RecoverWorker(ctx, t.Worker)
}

func holdKubelet(ctx context.Context, t Target) error {
	return t.Cluster.HoldComponent(ctx, t.Worker, "kubelet")
}

func releaseKubelet(ctx context.Context, t Target) error {
	return t.Cluster.ReleaseComponent(ctx, t.Worker, "kubelet")
}

func drain(ctx context.Context, t Target) error {
	_, err := t.Cluster.Kubectl(ctx, "drain", t.Worker, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+drainTimeout)
	return err
}

func uncordon(ctx context.Context, t Target) error {
	_, err := t.Cluster.Kubectl(ctx, "uncordon", t.Worker)
	return err
}

func powerOff(ctx context.Context, t Target) error { return t.Cluster.PowerOff(ctx) }
func powerOn(ctx context.Context, t Target) error  { return t.Cluster.PowerOn(ctx) }

func stopAPIServer(ctx context.Context, t Target) error  { return t.Cluster.StopAPIServer(ctx) }
func startAPIServer(ctx context.Context, t Target) error { return t.Cluster.StartAPIServer(ctx) }

func pauseEtcd(_ context.Context, t Target) error  { return t.Cluster.PauseEtcd() }
func resumeEtcd(_ context.Context, t Target) error { return t.Cluster.ResumeEtcd() }

// together is a fault of several parts. They are healed in the opposite order, each
// even if another could not be.
type together []mechanism

func (all together) supported() error {
	var errs []error
	for _, m := range all {
		errs = append(errs, m.supported())
	}
	return errors.Join(errs...)
}

func (all together) inject(ctx context.Context, t Target) error {
	for _, m := range all {
		if err := m.inject(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (all together) heal(ctx context.Context, t Target) error {
	var errs []error
	for _, m := range slices.Backward(all) {
		errs = append(errs, m.heal(ctx, t))
	}
	return errors.Join(errs...)
}
