package policy

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// +kubebuilder:rbac:groups="",namespace=mainstay-system,resources=configmaps,resourceNames=mainstay-unlocked,verbs=get;list;watch

// allRules brings every rule back when the gates are opened or closed.
func allRules(reader client.Reader) handler.TypedEventHandler[client.Object, rule.Key] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []rule.Key {
		var keys []rule.Key
		var clusterRules v1alpha1.ClusterRuleList
		if err := reader.List(ctx, &clusterRules); err == nil {
			for i := range clusterRules.Items {
				keys = append(keys, rulecontroller.KeyOf(&clusterRules.Items[i]))
			}
		}
		var rules v1alpha1.RuleList
		if err := reader.List(ctx, &rules); err == nil {
			for i := range rules.Items {
				keys = append(keys, rulecontroller.KeyOf(&rules.Items[i]))
			}
		}
		return keys
	})
}
