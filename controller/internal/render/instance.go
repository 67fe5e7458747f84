package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// addInstances adds what flux-operator makes of each FluxInstance.
func addInstances(ctx context.Context, result *Result, top *built, opts Options) error {
	var dist *distribution
	for i, object := range top.objects {
		group, _, _ := strings.Cut(object.Object.GetAPIVersion(), "/")
		if group != instanceGroup || object.Object.GetKind() != "FluxInstance" {
			continue
		}
		at := top.places[i]
		fail := func(err error, fields ...string) error {
			if placed, ok := errors.AsType[*Error](err); ok && placed.Origin.Path == at.origin.Path {
				return err
			}
			origin := at.origin
			origin.Line = max(origin.Line, lineOf(at.doc.node, fields...))
			name := object.Object.GetNamespace() + "/" + object.Object.GetName()
			return asError(origin, fmt.Errorf("FluxInstance %s: %w", name, err))
		}
		in, wrong := readInstance(object.Object.Object)
		if wrong != nil {
			return fail(wrong.err, wrong.path...)
		}
		if object.Object.GetNamespace() == "" {
			return fail(errors.New("it has no namespace"), "metadata")
		}
		if opts.Distribution == "" {
			return fail(fmt.Errorf("no distribution of Flux %s was given: pass --distribution with a folder of manifests, a gotk-components.yaml, or oci://ghcr.io/controlplaneio-fluxcd/flux-operator-manifests", in.Spec.Distribution.Version), "spec", "distribution")
		}
		if dist == nil {
			var err error
			if dist, err = openDistribution(ctx, opts.Distribution); err != nil {
				return &Error{Err: fmt.Errorf("open the distribution %s: %w", opts.Distribution, err)}
			}
			defer dist.close()
		}
		version, err := dist.resolve(in.Spec.Distribution.Version)
		if err != nil {
			return fail(err, "spec", "distribution", "version")
		}
		o := operator{spec: in.Spec, namespace: object.Object.GetNamespace(), name: object.Object.GetName(), version: version, dist: dist}
		if err := renderInstance(ctx, result, o, at, opts.Limits); err != nil {
			return fail(err, "spec")
		}
	}
	return nil
}

// renderInstance builds the kustomization of one instance.
func renderInstance(ctx context.Context, result *Result, o operator, at place, limits Limits) error {
	k, files, err := o.kustomization()
	if err != nil {
		return err
	}
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	t := newTree(limits)
	for name, content := range files {
		if err := t.put(name, content); err != nil {
			return err
		}
	}
	w := newWalk(ctx, t)
	first := len(k.Patches) - len(o.spec.Kustomize.Patches)
	instance := o.namespace + "/" + o.name
	w.reported = func(from *kustomization, list string, index int) (Origin, string, bool) {
		origin := Origin{Path: at.origin.Path, Line: at.origin.Line, Instance: instance}
		if from.dir != "." || list != "patches" || index < first {
			return origin, "", false
		}
		own, comment := writtenAt(result.Patches, at, o.name, o.spec.Kustomize.Patches[index-first].Patch, index-first)
		own.Instance = instance
		return own, comment, true
	}
	b, err := w.build(".")
	if err != nil {
		return err
	}
	for _, object := range b.objects {
		object.Origin = at.origin
		object.Origin.Instance = instance
		result.Objects = append(result.Objects, object)
	}
	offset := len(result.Patches)
	for _, p := range b.patches {
		p.List, p.Index = "spec.kustomize.patches", p.Index-first
		for i := range p.OverriddenBy {
			p.OverriddenBy[i].By += offset
		}
		result.Patches = append(result.Patches, p)
	}
	return nil
}

// writtenAt is where an inner patch is written, with its comment: in the
// FluxInstance's own source, else in the patch that put it there.
func writtenAt(patches []Patch, at place, name, text string, index int) (Origin, string) {
	origin := Origin{Path: at.origin.Path, Line: at.origin.Line}
	if at.doc.node == nil {
		return origin, ""
	}
	i := strconv.Itoa(index)
	entry := atExactly(at.doc.node, "spec", "kustomize", "patches", i)
	if entry != nil && strings.TrimSpace(scalar(entry, "patch")) == strings.TrimSpace(text) {
		return Origin{Path: origin.Path, Line: entry.Line}, commentOf(entry)
	}
	for _, p := range slices.Backward(patches) {
		for _, c := range p.Changes {
			if p.Origin.Instance == "" && strings.Contains(c.Target, "/FluxInstance ") && strings.HasSuffix(c.Target, name) &&
				within(c.Field, "/spec/kustomize/patches/"+i) {
				return p.Origin, p.Comment
			}
		}
	}
	origin.Line = lineOf(at.doc.node, "spec", "kustomize", "patches")
	return origin, ""
}
