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
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
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
	g := grammar{Rand: rand.New(rand.NewPCG(uint64(seed), 0))}
	documents, rules, inProcess := []*corpusRule{}, []*rule.Rule{}, []*rule.Rule{}
	for len(rules) < randomRules {
		i := len(rules)
		g.refs = i%3 == 0
		d := g.document(fmt.Sprintf("random-%d-%d", seed, i), fmt.Sprintf("random-%d", i))
		r, errs := rule.Compile(compiler, d.key(), 1, &d.Spec)
		if len(errs) > 0 || policy.NeedsWebhook(r) != d.Webhook {
			continue
		}
		documents, rules = append(documents, d), append(rules, r)
		if d.Webhook {
			defer s.webhook.adopt(t, d)()
		} else {
			inProcess = append(inProcess, r)
		}
	}
	applied := s.enforce(t, inProcess)
	held := t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
		for i, d := range documents {
			t.Run(d.Rule, func(t *testing.T) {
				t.Parallel()
				line := newCommandLine(t, d)
				for _, tc := range d.Cases {
					if d.Webhook {
						seen.add(s.sameWithRefs(t, d, tc, rules[i], line))
					} else {
						seen.add(s.sameVerdict(t, d, tc, rules[i], line))
					}
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

	want := d.admission(of, object)
	// The API server gives the first validation that does not hold.
	sameOnServer := asked.verdict == want || of.verdict == denies && of.partly && asked.verdict == erroneous
	if asked.verdict == denies {
		sameOnServer = sameOnServer && asked.message == of.message && asked.reason == of.reason
	}
	sameInCheck := sameAsAudited(checked, of)
	sameInWebhook := found && hooked.verdict == want && (want != denies || hooked.message == of.message && hooked.reason == of.reason)
	if !sameOnServer || !sameInCheck || !sameInWebhook {
		t.Errorf("the API server says %+v\nthe webhook %+v\nthe audit %+v\nthe command line %+v\nof %v\nby %+v", asked, hooked, of, checked, tc.Object, d.Spec)
	}
	return of.verdict
}

// admission is what becomes of a request, by what the audit says of its object.
func (d *corpusRule) admission(audited answer, object *unstructured.Unstructured) verdict {
	if slices.ContainsFunc(d.Spec.Exceptions, func(e v1alpha1.Exception) bool { return e.Name == object.GetName() }) {
		// The audit says of an object that it cannot say whether the rule is about
		// it. Its request is admitted.
		return allowed
	}
	return audited.verdict.onServer(&d.Spec)
}

// sameAsAudited compares the command line's answer with the audit's.
func sameAsAudited(checked, of answer) bool {
	if checked.verdict == denies {
		return of.verdict == denies && checked.message == of.message
	}
	return checked.verdict == of.verdict || of.verdict == unmatched && checked.verdict == allowed
}

// sameWithRefs compares what the webhook, as an API server asks it, the audit and the
// command line say of one case, and returns what the audit does. The webhook is asked
// until it says that: what is there before shows on a list some time after it was stored.
func (s *apiServer) sameWithRefs(t *testing.T, d *corpusRule, tc *corpusCase, r *rule.Rule, line *commandLine) verdict {
	t.Helper()
	object := &unstructured.Unstructured{Object: integers(tc.Object)}
	of := s.auditedWithRefs(t, d, r, s.stored(t, object))
	checked := line.with(d.besides(object)).ask(t, object)
	want := d.admission(of, object)
	if asked := s.ask(t, d, tc); asked.verdict != allowed {
		t.Errorf("the API server judges by a rule that is not for it: %+v", asked)
	}
	body, found := s.webhook.take(d, tc)
	if !found {
		t.Fatal("the API server did not tell of the request")
	}
	same := func(hooked answer) bool {
		return hooked.verdict == want && (want != denies || hooked.message == of.message && hooked.reason == of.reason)
	}
	hooked := s.webhook.review(t, d, r, body)
	for deadline := time.Now().Add(10 * time.Second); !same(hooked) && time.Now().Before(deadline); hooked = s.webhook.review(t, d, r, body) {
		time.Sleep(50 * time.Millisecond)
	}
	sameInCheck := sameAsAudited(checked, of)
	if !same(hooked) || !sameInCheck {
		t.Errorf("the webhook says %+v\nthe audit %+v\nthe command line %+v\nof %v\nbeside %v\nby %+v", hooked, of, checked, tc.Object, d.Given, d.Spec)
	}
	return of.verdict
}
