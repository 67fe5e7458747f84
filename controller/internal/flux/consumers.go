package flux

import (
	"cmp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
)

const (
	// kustomizationMargin is how much shorter than its interval a
	// Kustomization's timeout is by default, and the least that it is
	// (GetTimeout in kustomize-controller's API).
	kustomizationMargin = 30 * time.Second

	// helmReleaseTimeout is the default of a HelmRelease's timeout (GetTimeout
	// in helm-controller's API).
	helmReleaseTimeout = 5 * time.Minute

	// digestInVersion is how many digits of the digest helm-controller appends
	// to a chart's version as build metadata.
	digestInVersion = 12
)

// consumer is a Kustomization or HelmRelease and what it says about its source.
type consumer struct {
	kind   string
	object *unstructured.Unstructured
	source sourceKey
	// attempted is the revision that was last attempted, as it is shown.
	attempted string
	// follows says whether the consumer has attempted or applied a revision of
	// its source.
	follows func(revision string) bool
	// timeout of one attempt.
	timeout time.Duration
}

// kustomization reads a Kustomization. kustomize-controller sets
// lastAttemptedRevision to the artifact's revision as it is, once it has
// fetched the artifact and found spec.path in it, and lastAppliedRevision when
// the health checks have passed. A fetch, an unready dependency or a missing
// path that fails sets Ready to False.
func kustomization(o *unstructured.Unstructured) consumer {
	attempted := text(o, "status", "lastAttemptedRevision")
	applied := text(o, "status", "lastAppliedRevision")
	timeout, ok := duration(o, "spec", "timeout")
	if !ok {
		interval, _ := duration(o, "spec", "interval")
		timeout = interval - kustomizationMargin
	}
	return consumer{
		kind:   "Kustomization",
		object: o,
		source: sourceKey{
			kind:      text(o, "spec", "sourceRef", "kind"),
			namespace: cmp.Or(text(o, "spec", "sourceRef", "namespace"), o.GetNamespace()),
			name:      text(o, "spec", "sourceRef", "name"),
		},
		attempted: cmp.Or(attempted, applied),
		follows:   func(revision string) bool { return revision == attempted || revision == applied },
		timeout:   max(timeout, kustomizationMargin),
	}
}

// helmRelease reads a HelmRelease. helm-controller sets lastAttemptedRevision to
// the version of the chart that it has loaded, before it acts on it.
func helmRelease(o *unstructured.Unstructured) consumer {
	timeout, ok := duration(o, "spec", "timeout")
	if !ok {
		timeout = helmReleaseTimeout
	}
	c := consumer{
		kind:      "HelmRelease",
		object:    o,
		source:    chartSource(o),
		attempted: text(o, "status", "lastAttemptedRevision"),
		timeout:   timeout,
	}
	digest := text(o, "status", "lastAttemptedRevisionDigest")
	c.follows = func(revision string) bool { return followsChart(c.source.kind, revision, c.attempted, digest) }
	return c
}

// chartSource is the source of a HelmRelease: what spec.chartRef names, else
// the HelmChart that status.helmChart says was made from spec.chart, else the
// one that will be made: <namespace>-<name> in the namespace of the chart's own
// source.
func chartSource(o *unstructured.Unstructured) sourceKey {
	if name := text(o, "spec", "chartRef", "name"); name != "" {
		return sourceKey{
			kind:      text(o, "spec", "chartRef", "kind"),
			namespace: cmp.Or(text(o, "spec", "chartRef", "namespace"), o.GetNamespace()),
			name:      name,
		}
	}
	if namespace, name, ok := strings.Cut(text(o, "status", "helmChart"), "/"); ok {
		return sourceKey{kind: kindHelmChart, namespace: namespace, name: name}
	}
	return sourceKey{
		kind:      kindHelmChart,
		namespace: cmp.Or(text(o, "spec", "chart", "spec", "sourceRef", "namespace"), o.GetNamespace()),
		name:      o.GetNamespace() + "-" + o.GetName(),
	}
}

// followsChart says whether the chart that was last attempted is the one of a
// source's revision.
//
// A HelmChart's revision is the version of the chart it packaged, build
// metadata included. An OCIRepository's is <tag>@<algorithm>:<digest> or
// <algorithm>:<digest>, and an ExternalArtifact's may be either that or a
// version. Where it is neither, it says nothing about the chart's version, and
// the chart counts as followed. Of a revision with a digest, helm-controller records in
// lastAttemptedRevisionDigest the part after the "@", or all of it when the tag
// is no version, and appends twelve digits of it to the version attempted.
func followsChart(kind, revision, attempted, digest string) bool {
	withDigest := kind == kindOCIRepository ||
		kind == kindExternalArtifact && strings.Contains(revision, ":")
	if !withDigest {
		return revision == attempted || kind == kindExternalArtifact && !sameNotation(revision, attempted)
	}
	_, own, ok := strings.Cut(revision, "@")
	if !ok {
		own = revision
	}
	if digest != "" {
		return digest == own || digest == revision
	}
	// Versions of helm-controller before the field append the digest only.
	_, digits, _ := strings.Cut(own, ":")
	_, appended, _ := strings.Cut(attempted, "+")
	return len(digits) >= digestInVersion && appended == digits[:digestInVersion]
}

// sameNotation says whether a revision is written as the version of a chart is,
// so that the two can be compared.
func sameNotation(revision, attempted string) bool {
	if strings.HasPrefix(revision, "v") != strings.HasPrefix(attempted, "v") && attempted != "" {
		return false
	}
	_, err := version.ParseSemantic(revision)
	return err == nil
}
