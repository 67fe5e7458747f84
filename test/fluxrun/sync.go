package fluxrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kinds of Flux that point at Git.
const (
	sourceAPI    = "source.toolkit.fluxcd.io/v1"
	kustomizeAPI = "kustomize.toolkit.fluxcd.io/v1"
)

// SyncOptions are a GitRepository and a Kustomization of the same name that applies it.
type SyncOptions struct {
	Name string
	// Source is the GitRepository. The default is one of the Kustomization's name, made
	// from URL and Branch; with a Source, which exists, they are not used.
	Source string
	URL    string
	// Branch is main by default.
	Branch string
	// Path in the repository. The default is its root.
	Path string
	// SourceInterval is how often Git is asked. The default is 2 s, which makes a
	// change in Git arrive soon.
	SourceInterval time.Duration
	// Interval is how often the Kustomization is applied without a change in Git. The
	// default is 10 min: changes come with the source.
	Interval time.Duration
	// RetryInterval is the same after a failure. Without it, it is Interval.
	RetryInterval time.Duration
	// Timeout of one application. The default is Flux's.
	Timeout time.Duration
	// Prune removes from the cluster what is gone from Git.
	Prune bool
	// Wait has the Kustomization be Ready once all that it applied is.
	Wait bool
	// DependsOn are Kustomizations that are Ready before.
	DependsOn []string
}

// Sync has Flux follow a repository. It returns when the objects are applied.
func (f *Flux) Sync(ctx context.Context, opts SyncOptions) error {
	objects, err := f.syncObjects(opts)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if err := f.apply(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flux) syncObjects(opts SyncOptions) ([]*unstructured.Unstructured, error) {
	if opts.Name == "" || (opts.Source == "") == (opts.URL == "") {
		return nil, errors.New("a sync takes a name, and either a URL or a source")
	}
	var objects []*unstructured.Unstructured
	source := opts.Source
	if source == "" {
		source = opts.Name
		repository, err := f.named(sourceAPI, "GitRepository", source, map[string]any{
			"url":      opts.URL,
			"ref":      map[string]any{"branch": cmp.Or(opts.Branch, "main")},
			"interval": cmp.Or(opts.SourceInterval, 2*time.Second).String(),
		})
		if err != nil {
			return nil, err
		}
		objects = append(objects, repository)
	}
	spec := map[string]any{
		"sourceRef": map[string]any{"kind": "GitRepository", "name": source},
		"path":      "./" + strings.TrimPrefix(opts.Path, "./"),
		"interval":  cmp.Or(opts.Interval, 10*time.Minute).String(),
		"prune":     opts.Prune,
		"wait":      opts.Wait,
	}
	if opts.RetryInterval > 0 {
		spec["retryInterval"] = opts.RetryInterval.String()
	}
	if opts.Timeout > 0 {
		spec["timeout"] = opts.Timeout.String()
	}
	var dependsOn []any
	for _, name := range opts.DependsOn {
		dependsOn = append(dependsOn, map[string]any{"name": name})
	}
	if dependsOn != nil {
		spec["dependsOn"] = dependsOn
	}
	kustomization, err := f.named(kustomizeAPI, "Kustomization", opts.Name, spec)
	if err != nil {
		return nil, err
	}
	return append(objects, kustomization), nil
}

// AwaitReady waits until a Kustomization is Ready.
func (f *Flux) AwaitReady(ctx context.Context, name string) error {
	kustomization, err := f.named(kustomizeAPI, "Kustomization", name, nil)
	if err != nil {
		return err
	}
	return f.awaitReady(ctx, kustomization)
}

// Reconcile has a Kustomization applied now, as `flux reconcile` does, and waits until it
// was. By itself, one that found what it depends on not Ready looks again after 30 s.
func (f *Flux) Reconcile(ctx context.Context, name string) error {
	kustomization, err := f.named(kustomizeAPI, "Kustomization", name, nil)
	if err != nil {
		return err
	}
	return f.reconcile(ctx, kustomization)
}

// AwaitApplied waits until a Kustomization has applied a revision, the hash of a
// commit, and is Ready with it.
func (f *Flux) AwaitApplied(ctx context.Context, name, revision string) error {
	kustomization, err := f.named(kustomizeAPI, "Kustomization", name, nil)
	if err != nil {
		return err
	}
	return await(ctx, describe(kustomization)+" to apply "+revision, func(ctx context.Context) error {
		current, err := f.get(ctx, kustomization)
		if err != nil {
			return err
		}
		if applied := field(current, "status", "lastAppliedRevision"); !strings.HasSuffix(applied, ":"+revision) {
			return fmt.Errorf("it has applied %q: %w", applied, condition(current, "Ready"))
		}
		return condition(current, "Ready")
	})
}

func (f *Flux) awaitReady(ctx context.Context, obj *unstructured.Unstructured) error {
	return await(ctx, describe(obj)+" to be Ready", func(ctx context.Context) error {
		current, err := f.get(ctx, obj)
		if err != nil {
			return err
		}
		return condition(current, "Ready")
	})
}

// named is an object in the namespace of Flux.
func (f *Flux) named(apiVersion, kind, name string, spec map[string]any) (*unstructured.Unstructured, error) {
	content := map[string]any{
		"apiVersion": apiVersion,
		"kind":       kind,
		"metadata":   map[string]any{"name": name, "namespace": f.namespace},
	}
	if spec != nil {
		content["spec"] = spec
	}
	return object(content)
}

// field is a text in an object, empty when it is not there.
func field(obj *unstructured.Unstructured, path ...string) string {
	text, _, err := unstructured.NestedString(obj.Object, path...)
	if err != nil {
		return ""
	}
	return text
}
