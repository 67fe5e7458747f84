package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// show prints a kubectl command as a person would type it, and its output.
func (d *demo) show(ctx context.Context, args ...string) (string, error) {
	d.story.say("$ kubectl %s", strings.Join(args, " "))
	out, err := d.cluster.Kubectl(ctx, args...)
	if err != nil {
		return "", err
	}
	d.story.say("%s", out)
	return "", nil
}

// lifeline waits until the Lifeline of Flux is as it should be, and returns
// what it says.
func (d *demo) lifeline(ctx context.Context, is func(*v1alpha1.Lifeline) bool) (string, error) {
	return until(ctx, func(ctx context.Context) (bool, string, error) {
		var l v1alpha1.Lifeline
		if err := d.client.Get(ctx, types.NamespacedName{Namespace: "flux-system", Name: "flux"}, &l); err != nil {
			return false, "", fmt.Errorf("read the lifeline: %w", err)
		}
		c := meta.FindStatusCondition(l.Status.Conditions, v1alpha1.ConditionSurvivable)
		if c == nil || l.Status.Survives == nil {
			return false, "the lifeline has no verdict yet", nil
		}
		seen := c.Message
		if healing := meta.FindStatusCondition(l.Status.Conditions, v1alpha1.ConditionHealing); healing != nil && !*l.Status.Survives {
			seen += fmt.Sprintf(" [healing: %s: %s]", healing.Reason, healing.Message)
		}
		return is(&l), seen, nil
	})
}

// rules waits until the rules that fail are as they should be, and shows them.
func (d *demo) rules(ctx context.Context, is func(fails []string) bool) (string, error) {
	seen, err := until(ctx, func(ctx context.Context) (bool, string, error) {
		var list v1alpha1.ClusterRuleList
		if err := d.client.List(ctx, &list); err != nil {
			return false, "", fmt.Errorf("list the rules: %w", err)
		}
		var fails []string
		findings := int32(0)
		for i := range list.Items {
			r := &list.Items[i]
			if !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady) || r.Status.Summary == nil {
				return false, fmt.Sprintf("rule %s is not ready", r.Name), nil
			}
			if r.Status.Summary.Fail > 0 {
				fails = append(fails, r.Name)
				findings += r.Status.Summary.Fail
			}
		}
		slices.Sort(fails)
		seen := fmt.Sprintf("%d of %d rules have findings, %d in all", len(fails), len(list.Items), findings)
		if len(fails) > 0 {
			seen += ": " + strings.Join(fails, ", ")
		}
		return len(list.Items) > 0 && is(fails), seen, nil
	})
	if err != nil {
		return "", err
	}
	_, err = d.show(ctx, "get", "clusterrules")
	return seen, err
}

// repositoryRoot is the closest folder at or above the working directory that
// has the package.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "manifests", "base", "kustomization.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run the demo inside the repository")
		}
		dir = parent
	}
}
