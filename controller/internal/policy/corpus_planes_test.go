package policy_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// minCases is the size that the corpus has to have.
const minCases = 250

// TestPlanes asks an API server, the webhook, the audit and the command line
// about the same rules and objects: what they say is the same. What the API
// server judges by itself is put before the webhook's evaluation, too, as the
// API server tells it to webhooks.
//
//	audit, command line   API server
//	pass, unmatched       admitted
//	skip                  admitted
//	fail                  denied by the rule's message
//	error                 denied by the API server's message, or admitted where
//	                      failurePolicy is Ignore or the recovery path is judged
//
// Of several validations that do not hold the API server gives the first in the
// order of the rule, be it false or an error. The audit gives the first that is
// false, and how many more there are, and so does the webhook.
func TestPlanes(t *testing.T) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	compiler, err := expr.NewCompiler(1024)
	if err != nil {
		t.Fatal(err)
	}
	documents := corpus(t)
	compiled := compileAll(t, compiler, documents)
	server := startServer(t, out())
	server.webhook = startWebhook(t, server, compiler)
	t.Run("corpus", func(t *testing.T) { server.testCorpus(t, compiler, documents, compiled) })
	t.Run("random", func(t *testing.T) { server.testRandom(t, compiler) })
}

func out() io.Writer {
	if testing.Verbose() {
		return os.Stderr
	}
	return io.Discard
}

// compileAll compiles the rules of a corpus that are valid.
func compileAll(t *testing.T, compiler *expr.Compiler, documents map[string][]*corpusRule) map[*corpusRule]*rule.Rule {
	t.Helper()
	compiled := map[*corpusRule]*rule.Rule{}
	for _, of := range documents {
		for _, d := range of {
			if d.Invalid != "" {
				continue
			}
			r, errs := rule.Compile(compiler, d.key(), 1, &d.Spec)
			if len(errs) > 0 {
				t.Errorf("%s does not compile: %v", d.Rule, errs)
			}
			compiled[d] = r
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return compiled
}

func (s *apiServer) testCorpus(t *testing.T, compiler *expr.Compiler, documents map[string][]*corpusRule, compiled map[*corpusRule]*rule.Rule) {
	t.Helper()
	var all []*rule.Rule
	for _, of := range documents {
		for _, d := range of {
			s.makeNamespace(t, d.Namespace, d.NamespaceLabels)
			if d.Invalid == "" {
				all = append(all, compiled[d])
			}
		}
	}
	s.enforce(t, all)
	s.webhook.enforce(t, documents, compiled)
	t.Cleanup(func() { s.webhook.enough(t) })
	for theme, of := range documents {
		for _, d := range of {
			t.Run(theme+"/"+d.Rule, func(t *testing.T) {
				t.Parallel()
				if d.Invalid != "" {
					s.testInvalid(t, compiler, d)
					return
				}
				line := newCommandLine(t, d)
				for _, tc := range d.Cases {
					t.Run(tc.Case, func(t *testing.T) {
						s.testCase(t, d, tc, compiled[d], line)
					})
				}
			})
		}
	}
}

func (s *apiServer) testCase(t *testing.T, d *corpusRule, tc *corpusCase, compiled *rule.Rule, line *commandLine) {
	t.Helper()
	if d.Webhook {
		s.testWebhookCase(t, d, tc, compiled, line)
		return
	}
	got := s.ask(t, d, tc)
	s.webhook.same(t, d, tc, compiled)
	compare(t, "API server", got, answer{verdict: tc.Server, message: tc.ServerMessage, reason: tc.Reason})
	if tc.ServerOnly {
		return
	}
	want := answer{verdict: tc.Want, message: tc.Message, reason: tc.Reason}
	object := &unstructured.Unstructured{Object: integers(tc.Object)}
	stored := s.stored(t, object)
	compare(t, "audit", audited(t, compiled, stored, s.namespaceContent(t, d.Namespace)), want)
	if !tc.Audited {
		compare(t, "command line", line.ask(t, object), want)
	}
}

func compare(t *testing.T, plane string, got, want answer) {
	t.Helper()
	same := got.verdict == want.verdict || want.verdict == unmatched && plane == "command line" && got.verdict == allowed
	switch want.verdict {
	case denies:
		same = same && got.message == want.message && (got.reason == want.reason || plane == "command line")
	case erroneous:
		same = same && strings.Contains(got.message, want.message)
	default:
	}
	if !same {
		t.Errorf("the %s says %+v, want %+v", plane, got, want)
	}
}
