package lockout_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mainstay-dev/mainstay/test/replicas"
)

// program is the path of mainstay.
var program string

// totals are of all tests together.
var totals tally

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "mainstay-lockout-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program, err = replicas.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	fmt.Fprintln(os.Stderr, totals.String())
	return code
}

// tally counts what was tried, and what must not have been.
type tally struct {
	mu                   sync.Mutex
	recovering, lockouts int
	violating, admitted  int
	slowest              time.Duration
	slowestWhat          string
}

// recovery counts a request of the recovery path, or one that no rule is about.
func (c *tally) recovery(what string, took time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recovering++
	if !ok {
		c.lockouts++
	}
	if took > c.slowest {
		c.slowest, c.slowestWhat = took, what
	}
}

// violation counts a request that a rule refuses.
func (c *tally) violation(refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violating++
	if !refused {
		c.admitted++
	}
}

// String is the sum of it all.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("lockouts: %d of %d requests of the recovery path, the slowest %.2f s (%s); wrongly admitted: %d of %d requests that violate a rule",
		c.lockouts, c.recovering, c.slowest.Seconds(), c.slowestWhat, c.admitted, c.violating)
}
