package flux

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// maxRevision bounds a revision that is reported, in bytes. Whoever may write the status of a
// tenant's source may write there what he likes, and a status has to remain one that can be
// stored.
const maxRevision = 256

func cut(revision string) string {
	return strings.ToValidUTF8(revision[:min(len(revision), maxRevision)], "")
}

// LagInput is what lag is told from. Nothing in it is changed.
type LagInput struct {
	// Kustomizations of kustomize.toolkit.fluxcd.io/v1.
	Kustomizations []*unstructured.Unstructured
	// HelmReleases of helm.toolkit.fluxcd.io/v2.
	HelmReleases []*unstructured.Unstructured
	// Sources of source.toolkit.fluxcd.io/v1: GitRepository, OCIRepository,
	// Bucket, HelmChart and ExternalArtifact.
	Sources []*unstructured.Unstructured
	// Threshold is how long a source may hold a revision that its consumer has
	// not attempted.
	Threshold time.Duration
	// Now, by the API server's clock as well as it is known.
	Now time.Time
}

// Lagging are the consumers that stopped following their source although their
// own status does not say so, longest first and not bounded; and next, when the
// first of the others would begin to lag if nothing happened, zero when none is
// behind its source.
//
// A consumer is behind when its source holds an artifact whose revision is
// neither the one that it last attempted nor the one that it last applied. It
// lags when it has been for the threshold. Left out are consumers that are
// suspended or being deleted, and those whose Ready condition is False: a
// failure that Flux reports is seen by everybody. A consumer that began an
// attempt before the artifact appeared is allowed to finish it, for as long as
// its own timeout: it waits for what it applied to become healthy.
//
// A source's revision is counted from status.artifact.lastUpdateTime, or from
// the creation of the consumer where that is later. When a consumer is resumed
// or turned to another source is written in no status: it may be reported for
// the moment until its controller has seen that.
func Lagging(in LagInput) (lagging []v1alpha1.LaggingConsumer, next time.Time) {
	sources := indexSources(in.Sources)
	look := func(c consumer) {
		since, due, behind := c.behind(sources, in.Threshold)
		switch {
		case !behind:
		case due.After(in.Now):
			if next.IsZero() || due.Before(next) {
				next = due
			}
		default:
			lagging = append(lagging, v1alpha1.LaggingConsumer{
				Kind:              c.kind,
				Namespace:         c.object.GetNamespace(),
				Name:              c.object.GetName(),
				Source:            c.source.String(),
				SourceRevision:    cut(sources[c.source].revision),
				AttemptedRevision: cut(c.attempted),
				Since:             metav1.NewTime(since),
			})
		}
	}
	for _, o := range in.Kustomizations {
		look(kustomization(o))
	}
	for _, o := range in.HelmReleases {
		look(helmRelease(o))
	}
	slices.SortFunc(lagging, func(a, b v1alpha1.LaggingConsumer) int {
		return cmp.Or(
			a.Since.Compare(b.Since.Time),
			cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name))
	})
	return lagging, next
}

// behind says whether a consumer has yet to follow its source: since when the
// source holds its revision, and when the consumer begins to lag.
func (c consumer) behind(sources map[sourceKey]artifact, threshold time.Duration) (since, due time.Time, behind bool) {
	held, ok := sources[c.source]
	if !ok || c.follows(held.revision) || c.excused() {
		return time.Time{}, time.Time{}, false
	}
	due = later(held.updated, c.object.GetCreationTimestamp().Time).Add(threshold)
	if began, busy := c.attemptBegan(); busy && began.Before(held.updated) {
		due = later(due, began.Add(c.timeout))
	}
	return held.updated, due, true
}

// excused says whether a consumer is not expected to follow, or says itself
// that it does not.
func (c consumer) excused() bool {
	suspended, _, _ := unstructured.NestedBool(c.object.Object, "spec", "suspend")
	return suspended ||
		c.object.GetDeletionTimestamp() != nil ||
		readCondition(c.object, "Ready").status == metav1.ConditionFalse
}

// attemptBegan is when the attempt that is under way began. kustomize-controller
// sets Ready to Unknown for it. helm-controller does so for an install or
// upgrade only, and says Reconciling for the others.
func (c consumer) attemptBegan() (time.Time, bool) {
	if ready := readCondition(c.object, "Ready"); ready.status == metav1.ConditionUnknown {
		return ready.since, true
	}
	reconciling := readCondition(c.object, "Reconciling")
	return reconciling.since, reconciling.status == metav1.ConditionTrue
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
