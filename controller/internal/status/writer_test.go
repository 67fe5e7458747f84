package status_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// TestWriteIsAboutOneVersionOfTheObject has a status that was made from an object which has
// changed since be no status of it.
func TestWriteIsAboutOneVersionOfTheObject(t *testing.T) {
	t.Parallel()
	at := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "clusterrules"}
	fields := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}}, "somebody else has it")
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		answer error
		want   status.Result
		stale  bool
	}{
		"written":                     {nil, status.Written, false},
		"gone":                        {apierrors.NewNotFound(at, "a"), status.Gone, false},
		"another version":             {apierrors.NewConflict(at, "a", errors.New("the object has been modified")), "", true},
		"somebody else owns a field":  {fields, status.Conflict, false},
		"the API server does not say": {errors.New("no route to host"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent *unstructured.Unstructured
			c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
				SubResourceApply: func(_ context.Context, _ client.Client, _ string, obj runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
					content, _ := obj.(interface{ UnstructuredContent() map[string]any })
					sent = &unstructured.Unstructured{Object: content.UnstructuredContent()}
					return tc.answer
				},
			}).Build()
			m, err := metrics.New(prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			obj := builders.MakeClusterRule("a").UID("1").Obj()
			obj.ResourceVersion = "7"
			want := obj.Status.DeepCopy()
			want.ObservedGeneration = 2
			got, err := status.NewWriter(c, &notes{}, m).Write(t.Context(), obj, &obj.Status, want)
			if got != tc.want || errors.Is(err, status.ErrStale) != tc.stale || (err == nil) != (tc.want != "") {
				t.Errorf("%q, %v; want %q, stale %t", got, err, tc.want, tc.stale)
			}
			if sent.GetResourceVersion() != "7" || sent.GetUID() != "1" {
				t.Errorf("sent as of version %q of %q", sent.GetResourceVersion(), sent.GetUID())
			}
			if got, err := status.NewWriter(c, &notes{}, m).Write(t.Context(), obj, want, want.DeepCopy()); got != status.Unchanged || err != nil {
				t.Errorf("nothing to say: %q, %v", got, err)
			}
		})
	}
}
