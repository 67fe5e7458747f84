package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// compile a rule as the controller does.
func (c *Checker) compile(given *Rule) (*rule.Rule, error) {
	compiled, errs := rule.Compile(c.compiler, given.key, 1, &given.spec)
	if len(errs) > 0 {
		return nil, fmt.Errorf("it does not compile: %w", errs.ToAggregate())
	}
	if refusal := policy.Check(compiled); refusal != nil {
		return nil, fmt.Errorf("it cannot be enforced: %s", refusal.Message)
	}
	return compiled, nil
}

// rules evaluates every rule on every object of the render.
func (r *run) rules(ctx context.Context, set Set) error {
	r.budgeted = map[string]bool{}
	for i := range set.Rules {
		given := &set.Rules[i]
		if given.spec.Suspend {
			r.note(Note{Check: given.key.Name, Message: given.key.String() + " is suspended, so it is not evaluated"})
			continue
		}
		compiled, err := r.checker.compile(given)
		if err != nil {
			r.invalid(given, err)
			continue
		}
		if used := compiled.RequestOnly(); len(used) > 0 {
			r.note(Note{Check: given.key.Name, Message: fmt.Sprintf("%s is not evaluated: it asks for %s, which only a request has",
				given.key, strings.Join(used, " and "))})
			continue
		}
		if err := r.evaluate(ctx, given, compiled); err != nil {
			return err
		}
	}
	return nil
}

// invalid reports a rule of the render that does not compile.
func (r *run) invalid(given *Rule, err error) {
	for _, obj := range r.objects.all {
		if r.isRule(obj, given.key) {
			r.of(obj, everything, Finding{Check: RuleInvalid, Severity: v1alpha1.SeverityHigh, Message: err.Error()})
		}
	}
}

// evaluate one rule on the objects that it matches.
func (r *run) evaluate(ctx context.Context, given *Rule, compiled *rule.Rule) error {
	var unknown, excepted []string
	var kinds []string
	aboutBudgets := slices.ContainsFunc(compiled.References(), func(reference rule.Reference) bool {
		return reference.GVK == policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	})
	for _, obj := range r.objects.all {
		resource := obj.resourceFor(&given.spec)
		if !compiled.MatchesResource(resource, obj.namespaced) ||
			!compiled.MatchesObject(resource, obj.Unstructured, r.objects.namespaceLabels(obj)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("evaluate %s on %s: %w", given.key, obj.id(), err)
		}
		lists := &refs{objects: r.objects}
		finding, err := r.checker.evaluate(ctx, compiled, rule.Input{
			Object: obj.Unstructured, Resource: resource, Namespace: r.objects.namespaceOf(obj),
			Refs: lists, Now: r.checker.opts.Now,
		})
		if err != nil {
			return err
		}
		if !finding.Matched {
			continue
		}
		if _, known := r.guarded[obj]; !known && finding.Outcome != v1alpha1.OutcomeSkip && denies(&given.spec) {
			r.guarded[obj] = given.key
		}
		switch finding.Outcome {
		case v1alpha1.OutcomePass:
		case v1alpha1.OutcomeSkip:
			excepted = append(excepted, obj.id()+" ("+finding.Message+")")
		case v1alpha1.OutcomeError:
			// What it says of an object that it needs a cluster for is not known.
			if len(lists.live) > 0 {
				unknown = append(unknown, obj.id())
				kinds = append(kinds, lists.live...)
				continue
			}
			if obj.encrypted {
				r.note(Note{
					Check: given.key.Name, Object: obj.id(), Path: obj.origin.Path, Line: obj.origin.Line,
					Message: fmt.Sprintf("%s: SOPS encrypted values of it, so it is not known whether %s holds", obj.id(), given.key),
				})
				continue
			}
			if len(obj.variables) > 0 {
				r.unknown(obj, given.key.Name, obj.variables, "whether "+given.key.String()+" holds")
				continue
			}
			r.of(obj, masked(compiled.Reads()), Finding{
				Check: RuleFailed, Rule: given.key.String(), Severity: compiled.Severity(), Docs: given.docs,
				Message: fmt.Sprintf("%s could not be evaluated: %s", given.key, finding.Message),
			})
		case v1alpha1.OutcomeFail:
			if aboutBudgets {
				r.budgeted[obj.id()] = true
			}
			r.of(obj, masked(compiled.Reads()), Finding{
				Check: given.key.Name, Rule: given.key.String(), Severity: compiled.Severity(), Docs: given.docs,
				Message: finding.Message,
			})
		}
	}
	if len(unknown) > 0 {
		slices.Sort(kinds)
		r.note(Note{Check: given.key.Name, Message: fmt.Sprintf("%s is not judged of %s: it asks for %s, which only a running cluster has",
			given.key, some(unknown), strings.Join(slices.Compact(kinds), " and "))})
	}
	if len(excepted) > 0 {
		r.note(Note{Check: given.key.Name, Message: fmt.Sprintf("%s has an exception for %s", given.key, some(excepted))})
	}
	return nil
}
