package policy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// randomRules are enforced at a time, each in a namespace of its own.
	randomRules = 24
	// randomRounds are made where FUZZ_MINUTES does not ask for more.
	randomRounds = 4
)

// testRandom has random rules and objects judged on all planes. FUZZ_MINUTES
// sets for how long, FUZZ_SEED the seed of the first round; that of each next
// one is greater by one, and a failure names its own.
func (s *apiServer) testRandom(t *testing.T, compiler *expr.Compiler) {
	t.Helper()
	seed, minutes := setting(t, "FUZZ_SEED", 1), setting(t, "FUZZ_MINUTES", 0)
	if minutes > 0 && os.Getenv("FUZZ_SEED") == "" {
		seed = time.Now().Unix()
	}
	for i := range randomRules {
		s.makeNamespace(t, fmt.Sprintf("random-%d", i), nil)
	}
	seen := &tally{}
	rounds, end := 0, time.Now().Add(time.Duration(minutes)*time.Minute)
	for rounds < randomRounds || time.Now().Before(end) {
		if !s.round(t, compiler, seed, seen) {
			t.Fatalf("to have this again: FUZZ_SEED=%d", seed)
		}
		seed++
		rounds++
	}
	t.Logf("%d rounds, verdicts of the audit: %v", rounds, seen.of)
	for _, v := range []verdict{allowed, unmatched, skipped, denies, erroneous} {
		if seen.of[v] < 2*rounds {
			t.Errorf("the grammar is too poor: %q was the verdict %d times in %d rounds", v, seen.of[v], rounds)
		}
	}
}

func setting(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// tally counts verdicts.
type tally struct {
	mu sync.Mutex
	of map[verdict]int
}

func (c *tally) add(v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[verdict]int{}
	}
	c.of[v]++
}

func (s *apiServer) round(t *testing.T, compiler *expr.Compiler, seed int64, seen *tally) bool {
	t.Helper()
	g := grammar{rand.New(rand.NewPCG(uint64(seed), 0))}
	documents, rules := []*corpusRule{}, []*rule.Rule{}
	for len(rules) < randomRules {
		i := len(rules)
		d := g.document(fmt.Sprintf("random-%d-%d", seed, i), fmt.Sprintf("random-%d", i))
		if r, errs := rule.Compile(compiler, d.key(), 1, &d.Spec); len(errs) == 0 {
			documents, rules = append(documents, d), append(rules, r)
		}
	}
	applied := s.enforce(t, rules)
	held := t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
		for i, d := range documents {
			t.Run(d.Rule, func(t *testing.T) {
				t.Parallel()
				line := newCommandLine(t, d)
				for _, tc := range d.Cases {
					seen.add(s.sameVerdict(t, d, tc, rules[i], line))
				}
			})
		}
	})
	for _, obj := range applied {
		if err := s.system.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// sameVerdict compares what the planes say of one case, and returns what the
// audit does.
func (s *apiServer) sameVerdict(t *testing.T, d *corpusRule, tc *corpusCase, r *rule.Rule, line *commandLine) verdict {
	t.Helper()
	object := &unstructured.Unstructured{Object: tc.Object}
	of := audited(t, r, s.stored(t, object), s.namespaceContent(t, d.Namespace))
	asked, checked := s.ask(t, d, tc), line.ask(t, object)
	hooked, found := s.webhook.evaluate(t, d, tc, r)

	want := of.verdict.onServer(&d.Spec)
	if slices.ContainsFunc(d.Spec.Exceptions, func(e v1alpha1.Exception) bool { return e.Name == object.GetName() }) {
		// The audit says of an object that it cannot say whether the rule is about
		// it. Its request is admitted.
		want = allowed
	}
	// The API server gives the first validation that does not hold.
	sameOnServer := asked.verdict == want || of.verdict == denies && of.partly && asked.verdict == erroneous
	if asked.verdict == denies {
		sameOnServer = sameOnServer && asked.message == of.message && asked.reason == of.reason
	}
	sameInCheck := checked.verdict == of.verdict || of.verdict == unmatched && checked.verdict == allowed
	if checked.verdict == denies {
		sameInCheck = sameInCheck && checked.message == of.message
	}
	sameInWebhook := found && hooked.verdict == want && (want != denies || hooked.message == of.message && hooked.reason == of.reason)
	if !sameOnServer || !sameInCheck || !sameInWebhook {
		t.Errorf("the API server says %+v\nthe webhook %+v\nthe audit %+v\nthe command line %+v\nof %v\nby %+v", asked, hooked, of, checked, tc.Object, d.Spec)
	}
	return of.verdict
}
