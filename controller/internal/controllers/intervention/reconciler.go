package intervention

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// +kubebuilder:rbac:groups=mainstay.dev,namespace=mainstay-system,resources=interventions,verbs=get;list;watch;delete

// Reconciler deletes old Interventions. It runs on the leader only.
type Reconciler struct {
	client    client.Client
	clock     clock.PassiveClock
	retention time.Duration
}

// New returns a Reconciler that keeps Interventions for retention, counted
// from their creation by the API server's clock.
func New(c client.Client, clk clock.PassiveClock, retention time.Duration) *Reconciler {
	return &Reconciler{client: c, clock: clk, retention: retention}
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := ctrl.NewControllerManagedBy(mgr).Named("intervention").For(&v1alpha1.Intervention{}).Complete(r); err != nil {
		return fmt.Errorf("set up the intervention controller: %w", err)
	}
	return nil
}

// Reconcile deletes one Intervention when its time has come. A claim without a
// result goes too: nobody acts on it any more after so long.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var iv v1alpha1.Intervention
	err := r.client.Get(ctx, req.NamespacedName, &iv)
	switch {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("read intervention %s: %w", req.Name, err)
	}
	if left := r.retention - r.clock.Since(iv.CreationTimestamp.Time); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	err = r.client.Delete(ctx, &iv, client.Preconditions{UID: &iv.UID})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("delete intervention %s, whose retention is over: %w", iv.Name, err)
	}
	return ctrl.Result{}, nil
}
