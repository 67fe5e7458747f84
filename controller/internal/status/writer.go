package status

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
)

// FieldManager owns the status fields that Mainstay writes.
const FieldManager = "mainstay"

// Result of a write.
type Result string

// Results.
const (
	// Unchanged: the object has this status already; nothing was sent.
	Unchanged Result = "Unchanged"
	// Written: the API server has the status now.
	Written Result = "Written"
	// Gone: the object was deleted meanwhile.
	Gone Result = "Gone"
	// Conflict: another manager owns a field. It keeps it; an Event on the
	// object says so.
	Conflict Result = "Conflict"
)

// ErrStale is wrapped where the object is another one than the status was made from: the
// cache is behind, as that of a leader is which was paused. It is to be looked at again.
var ErrStale = errors.New("changed meanwhile")

// Writer writes statuses.
type Writer struct {
	client   client.Client
	recorder events.EventRecorder
	metrics  *metrics.Metrics
}

// NewWriter returns a Writer that reports conflicts as Events of recorder.
func NewWriter(c client.Client, recorder events.EventRecorder, m *metrics.Metrics) *Writer {
	return &Writer{client: c, recorder: recorder, metrics: m}
}

// Write applies want where it differs from have, the status that obj was read
// with. Both are pointers to the same status type. The error is ErrStale where obj has
// changed since it was read.
func (w *Writer) Write(ctx context.Context, obj client.Object, have, want any) (Result, error) {
	if equality.Semantic.DeepEqual(have, want) {
		return Unchanged, nil
	}
	gvk, err := apiutil.GVKForObject(obj, w.client.Scheme())
	if err != nil {
		return "", fmt.Errorf("find the kind of %T %s/%s: %w", obj, obj.GetNamespace(), obj.GetName(), err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return "", fmt.Errorf("convert the status of %s %s/%s: %w", gvk.Kind, obj.GetNamespace(), obj.GetName(), err)
	}
	// The UID makes the write void for an object that was made anew, and the resource
	// version for one that says something else now: what is said of an earlier generation
	// must not take the place of what is of a later one.
	desired := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	desired.SetGroupVersionKind(gvk)
	desired.SetNamespace(obj.GetNamespace())
	desired.SetName(obj.GetName())
	desired.SetUID(obj.GetUID())
	desired.SetResourceVersion(obj.GetResourceVersion())

	err = w.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(FieldManager))
	switch {
	case err == nil:
		return Written, nil
	case apierrors.IsNotFound(err):
		return Gone, nil
	case apierrors.IsConflict(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
		return "", fmt.Errorf("write the status of %s %s/%s: %w: %w", gvk.Kind, obj.GetNamespace(), obj.GetName(), ErrStale, err)
	case apierrors.IsConflict(err):
		w.metrics.Conflicts.WithLabelValues(gvk.Kind).Inc()
		w.recorder.Eventf(obj, nil, corev1.EventTypeWarning, "ApplyConflict", "WriteStatus",
			"another field manager owns a part of this object's status and keeps it: %v", err)
		ctrl.LoggerFrom(ctx).Error(err, "another field manager owns a part of this status")
		return Conflict, nil
	default:
		return "", fmt.Errorf("write the status of %s %s/%s: %w", gvk.Kind, obj.GetNamespace(), obj.GetName(), err)
	}
}
