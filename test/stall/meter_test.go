package stall_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// applier is a repository whose newest commit is applied at once, unless it is held.
type applier struct {
	client kubernetes.Interface

	mu   sync.Mutex
	held bool
	err  error
}

func (a *applier) set(held bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held, a.err = held, err
}

func (a *applier) Commit(ctx context.Context, _ string, files map[string][]byte) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.held {
		return "", a.err
	}
	var cm corev1.ConfigMap
	if err := yaml.Unmarshal(files["meter/meter.yaml"], &cm); err != nil {
		return "", err
	}
	// An API server that is away is like a controller that cannot reach it.
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := a.client.CoreV1().ConfigMaps(cm.Namespace).Update(ctx, &cm, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = a.client.CoreV1().ConfigMaps(cm.Namespace).Create(ctx, &cm, metav1.CreateOptions{})
	}
	if apierrors.IsInvalid(err) {
		return "", err
	}
	return "", nil
}

func TestMeter(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Options{Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	repo := &applier{client: client}
	meter, err := stall.Start(t.Context(), stall.Options{Config: c.Config(), Repo: repo, Period: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(meter.Stop)
	if err := meter.AwaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}

	// measure injects, waits for half a second, heals, and waits for the recovery.
	measure := func(what string, inject, heal func() error) stall.Result {
		t.Helper()
		if err := inject(); err != nil {
			t.Fatal(err)
		}
		fault := meter.Now() // an API server that ends gracefully answers for a while
		if recovered, err := meter.AwaitRecovery(t.Context(), fault, 500*time.Millisecond); err != nil || recovered {
			t.Fatalf("%s: recovered = %v, %v before it is healed", what, recovered, err)
		}
		if !meter.Stalled(fault) {
			t.Errorf("%s: it does not stall before it is healed", what)
		}
		if err := heal(); err != nil {
			t.Fatal(err)
		}
		if recovered, err := meter.AwaitRecovery(t.Context(), fault, time.Minute); err != nil || !recovered {
			t.Fatalf("%s: recovered = %v, %v", what, recovered, err)
		}
		const span = 300 * time.Millisecond
		if err := meter.AwaitCalm(t.Context(), fault, span, time.Minute); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if meter.Stalled(fault) {
			t.Errorf("%s: it still stalls", what)
		}
		result, err := meter.Measure(fault, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if !result.Recovered || result.Stall.Duration() < 500*time.Millisecond || result.Stall.Duration() > 30*time.Second {
			t.Errorf("%s: stall = %s, want from 0.5 s on", what, result.Stall)
		}
		if result.Stall != nil && result.Observed.Duration() < result.Stall.Duration()+span {
			t.Errorf("%s: observed for %s, want %s after the stall of %s", what, result.Observed, span, result.Stall)
		}
		if result.LongestGap.Duration() < 400*time.Millisecond {
			t.Errorf("%s: longest gap = %s, want the time until it was healed", what, result.LongestGap)
		}
		t.Logf("%s: stall %s, longest gap %s, out of sight %s, uncertainty %s, lag before %s (max %s)",
			what, result.Stall, result.LongestGap, result.Blind, result.Uncertainty, result.Baseline.Median, result.Baseline.Max)
		return result
	}

	still := measure("nothing applied", func() error { repo.set(true, nil); return nil }, func() error { repo.set(false, nil); return nil })
	if still.Blind != 0 || still.Uncertainty != 0 {
		t.Errorf("with an API server that answers: blind = %s, uncertainty = %s, want none", still.Blind, still.Uncertainty)
	}
	measure("API server restarted", func() error { return c.StopAPIServer(t.Context()) }, func() error { return c.StartAPIServer(t.Context()) })
	measure("API server paused", c.PauseAPIServer, c.ResumeAPIServer)
	measure("nothing applied, after all that", func() error { repo.set(true, nil); return nil }, func() error { repo.set(false, nil); return nil })

	repo.set(false, errors.New("the disk is full"))
	fault := meter.Now()
	if _, err := meter.AwaitRecovery(t.Context(), fault, time.Minute); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("AwaitRecovery without commits = %v, want why", err)
	}
	if _, err := meter.Measure(fault, 0); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("Measure without commits = %v, want why", err)
	}
}
