package check

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// MaxEvaluation is how long the expressions of all rules may take in one run: the
// whole rule pack on 500 Deployments of Flux takes less than a second. The cost
// limits of CEL bound one rule on one object, and not how many of both there are.
const MaxEvaluation = time.Minute

// spending is how long the rules took in one run. Every Checker that is made of
// another one spends of the same.
type spending struct {
	clock clock.PassiveClock
	total time.Duration
	by    map[rule.Key]time.Duration
	// waited is the part of an evaluation that went into lists of a cluster.
	waited time.Duration
}

// evaluate a rule on an object, as long as there is time left.
func (c *Checker) evaluate(ctx context.Context, compiled *rule.Rule, in rule.Input) (rule.Finding, error) {
	s := c.spent
	start := s.clock.Now()
	s.waited = 0
	finding := compiled.Evaluate(ctx, in)
	took := s.clock.Since(start) - s.waited
	s.total += took
	s.by[compiled.Key()] += took
	if s.total <= MaxEvaluation {
		return finding, nil
	}
	most := compiled.Key()
	for key, spent := range s.by {
		if spent > s.by[most] {
			most = key
		}
	}
	return finding, fmt.Errorf("the expressions of all rules took longer than %s, which is the most that one run gives them: %s took %s of it; make it cheaper, or check fewer paths at once",
		MaxEvaluation, spoken(most), s.by[most].Round(time.Millisecond))
}
