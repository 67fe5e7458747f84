package fluxrun

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// pollEvery is how often a condition is looked at.
	pollEvery = 250 * time.Millisecond
	// waitTimeout bounds a wait whose context has no deadline. A roll-out takes seconds
	// where the images are.
	waitTimeout = 3 * time.Minute
	// tryTimeout bounds one look.
	tryTimeout = 10 * time.Second
)

var (
	errTooLong = errors.New("it takes too long")
	// errHopeless is in the error of a look after which waiting is of no use.
	errHopeless = errors.New("that does not pass by itself")
)

// await waits until ready returns nil. It fails when ctx ends, at once when ready's
// error is errHopeless, and after three minutes when ctx has no deadline. The error
// ends with the last one of ready.
func await(ctx context.Context, what string, ready func(context.Context) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, waitTimeout, errTooLong)
		defer cancel()
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		err := ready(try)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errHopeless):
			return fmt.Errorf("waiting for %s: %w", what, err)
		case last == nil || !ends(ctx):
			// A look that the end of the context cut short says less than one before.
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

// ends tells whether a context is over, or has no time left for another look.
func ends(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && time.Until(deadline) < pollEvery
}

// condition tells why a condition of an object is not True for its generation.
func condition(obj *unstructured.Unstructured, name string) error {
	var status struct {
		Status struct {
			ObservedGeneration *int64             `json:"observedGeneration"`
			Conditions         []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := into(obj, &status); err != nil {
		return err
	}
	if seen := status.Status.ObservedGeneration; seen != nil && *seen != obj.GetGeneration() {
		return fmt.Errorf("%s is of generation %d and generation %d was seen", describe(obj), obj.GetGeneration(), *seen)
	}
	for _, c := range status.Status.Conditions {
		if c.Type != name {
			continue
		}
		if c.Status == metav1.ConditionTrue {
			return nil
		}
		return fmt.Errorf("%s has %s=%s: %s: %s", describe(obj), name, c.Status, c.Reason, c.Message)
	}
	return fmt.Errorf("%s has no condition %s yet", describe(obj), name)
}
