package lifeline

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/flux"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
)

// Objects are kinds that may be absent from the cluster.
type Objects interface {
	Handle(informer.Handler)
	Apply(consumer string, wants informer.Wants)
	State(consumer string, gvr schema.GroupVersionResource) informer.State
	List(gvr schema.GroupVersionResource, namespace string) []*unstructured.Unstructured
}

// The kinds of Flux whose revisions are compared. Each is read where the
// cluster has it.
var (
	kustomizations = schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"} //nolint:gochecknoglobals // a constant in all but the language
	helmReleases   = schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}        //nolint:gochecknoglobals // a constant in all but the language
)

func sources() []schema.GroupVersionResource {
	gv := schema.GroupVersion{Group: "source.toolkit.fluxcd.io", Version: "v1"}
	return []schema.GroupVersionResource{
		gv.WithResource("gitrepositories"),
		gv.WithResource("ocirepositories"),
		gv.WithResource("buckets"),
		gv.WithResource("helmcharts"),
		gv.WithResource("externalartifacts"),
	}
}

// lagWants are the fields that the lag is told from.
func lagWants() informer.Wants {
	consumer := expr.KeepPaths(
		[]string{"spec", "suspend"}, []string{"spec", "interval"}, []string{"spec", "timeout"}, []string{"spec", "sourceRef"}, []string{"spec", "chart"}, []string{"spec", "chartRef"},
		[]string{"status"},
	)
	wants := informer.Wants{kustomizations: consumer, helmReleases: consumer}
	for _, gvr := range sources() {
		wants[gvr] = expr.KeepPaths([]string{"status", "artifact"})
	}
	return wants
}

func isFlux(gvr schema.GroupVersionResource) bool {
	_, ok := lagWants()[gvr]
	return ok
}

// unseen says why the lag cannot be told, if it cannot: a kind that is not read
// is not a kind whose consumers all follow.
func (r *Reconciler) unseen() (reason, message string) {
	present := 0
	for _, gvr := range append([]schema.GroupVersionResource{kustomizations, helmReleases}, sources()...) {
		switch state := r.objects.State(lagConsumer, gvr); state.Phase {
		case informer.Forbidden:
			return v1alpha1.ReasonForbidden, state.Message
		case informer.Syncing:
			return v1alpha1.ReasonSyncing, state.Message
		case informer.Synced:
			present++
		case informer.Absent:
		}
	}
	if present == 0 {
		return v1alpha1.ReasonKindNotFound, "the API server serves none of Flux's kinds"
	}
	return "", ""
}

// lagging lists the consumers that stopped, and when the next one would count.
// A Lifeline beside Flux sees all namespaces, as Flux does; any other sees its
// own, so that a tenant learns nothing about its neighbours.
func (r *Reconciler) lagging(l *v1alpha1.Lifeline, now time.Time) ([]v1alpha1.LaggingConsumer, time.Time) {
	namespace := l.Namespace
	if slices.Contains(r.fluxNamespaces, l.Namespace) {
		namespace = metav1.NamespaceAll
	}
	in := flux.LagInput{
		Kustomizations: r.objects.List(kustomizations, namespace),
		HelmReleases:   r.objects.List(helmReleases, namespace),
		Threshold:      l.Spec.Lag.Threshold.Duration,
		Now:            now,
	}
	for _, gvr := range sources() {
		in.Sources = append(in.Sources, r.objects.List(gvr, namespace)...)
	}
	return flux.Lagging(in)
}
