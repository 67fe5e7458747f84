package policy

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// +kubebuilder:rbac:groups="",namespace=mainstay-system,resources=configmaps,resourceNames=mainstay-unlocked,verbs=get;list;watch

// allRules brings every rule back when the gates are opened or closed.
func allRules(reader client.Reader) handler.TypedEventHandler[client.Object, rule.Key] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []rule.Key { return keysOf(ctx, reader) })
}

// keysOf are those of all rules.
func keysOf(ctx context.Context, reader client.Reader) []rule.Key {
	rules, err := rulecontroller.List(ctx, reader)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot bring all rules back")
	}
	keys := make([]rule.Key, 0, len(rules))
	for _, obj := range rules {
		keys = append(keys, rulecontroller.KeyOf(obj))
	}
	return keys
}
