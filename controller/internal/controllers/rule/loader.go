package rule

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// +kubebuilder:rbac:groups=mainstay.dev,resources=clusterrules;rules,verbs=get;list;watch

// Judge evaluates rules.
type Judge interface {
	SetRule(key rule.Key, uid types.UID, generation int64, spec *v1alpha1.RuleSpec)
	RemoveRule(key rule.Key)
}

// Loader hands rules to those who judge by them, on every replica.
type Loader struct {
	reader  client.Reader
	release func(key rule.Key, uid types.UID, generation int64, by v1alpha1.Enforcement)
	judges  []Judge
}

// NewLoader returns a Loader that reads rules with reader. It calls release for the
// generation of a rule that is enforced.
func NewLoader(reader client.Reader, release func(key rule.Key, uid types.UID, generation int64, by v1alpha1.Enforcement), judges ...Judge) *Loader {
	return &Loader{reader: reader, release: release, judges: judges}
}

// Reconcile hands over one rule.
func (l *Loader) Reconcile(ctx context.Context, key rule.Key) (ctrl.Result, error) {
	obj, spec, err := Read(ctx, l.reader, key)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	for _, judge := range l.judges {
		if err != nil || obj.GetDeletionTimestamp() != nil {
			judge.RemoveRule(key)
		} else {
			judge.SetRule(key, obj.GetUID(), obj.GetGeneration(), spec)
		}
	}
	if by := enforcedBy(obj); err == nil && by != "" {
		l.release(key, obj.GetUID(), obj.GetGeneration(), by)
	}
	return ctrl.Result{}, nil
}

// enforcedBy is by what the leader has a rule enforced as it is now; empty for nothing.
func enforcedBy(obj client.Object) v1alpha1.Enforcement {
	_, status := PartsOf(obj)
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionEnforced)
	if condition == nil || condition.ObservedGeneration != obj.GetGeneration() ||
		!policy.InPlace(status.Enforcement, condition.Status, condition.Reason) {
		return ""
	}
	return status.Enforcement
}

// SetupWithManager registers the controller.
func (l *Loader) SetupWithManager(mgr ctrl.Manager) error {
	changed := predicate.Or(Rewritten(), predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool { return enforcedBy(e.ObjectOld) != enforcedBy(e.ObjectNew) },
	})
	err := watch(mgr, "rule-loader", atOnce(), changed).
		WithOptions(controller.TypedOptions[rule.Key]{NeedLeaderElection: new(false)}).
		Complete(l)
	if err != nil {
		return fmt.Errorf("set up the rule loader: %w", err)
	}
	return nil
}

// Rewritten lets pass what was written anew, and what was deleted and made again while nobody
// watched: that comes as one update, from the first generation to the first.
func Rewritten() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() },
	})
}

// Watch builds a controller that both kinds of rules are keys of, and wakes when they are
// written anew.
func Watch(mgr ctrl.Manager, name string) *builder.TypedBuilder[rule.Key] {
	return watch(mgr, name, atOnce(), Rewritten())
}

func atOnce() handler.TypedEventHandler[client.Object, rule.Key] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []rule.Key {
		return []rule.Key{KeyOf(obj)}
	})
}

func watch(mgr ctrl.Manager, name string, keys handler.TypedEventHandler[client.Object, rule.Key], changed predicate.Predicate) *builder.TypedBuilder[rule.Key] {
	return builder.TypedControllerManagedBy[rule.Key](mgr).
		Named(name).
		Watches(&v1alpha1.ClusterRule{}, keys, builder.WithPredicates(changed)).
		Watches(&v1alpha1.Rule{}, keys, builder.WithPredicates(changed))
}

var _ reconcile.TypedReconciler[rule.Key] = (*Loader)(nil)

// KeyOf is the key of a rule.
func KeyOf(obj client.Object) rule.Key {
	if _, ok := obj.(*v1alpha1.ClusterRule); ok {
		return rule.Key{Kind: rule.KindClusterRule, Name: obj.GetName()}
	}
	return rule.Key{Kind: rule.KindRule, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// List returns the rules of both kinds.
func List(ctx context.Context, reader client.Reader) ([]client.Object, error) {
	var out []client.Object
	var clusterRules v1alpha1.ClusterRuleList
	if err := reader.List(ctx, &clusterRules); err != nil {
		return nil, fmt.Errorf("list the ClusterRules: %w", err)
	}
	for i := range clusterRules.Items {
		out = append(out, &clusterRules.Items[i])
	}
	var rules v1alpha1.RuleList
	if err := reader.List(ctx, &rules); err != nil {
		return nil, fmt.Errorf("list the Rules: %w", err)
	}
	for i := range rules.Items {
		out = append(out, &rules.Items[i])
	}
	return out, nil
}

// PartsOf are the spec and the status of a rule of either kind, to be changed in place.
func PartsOf(obj client.Object) (*v1alpha1.RuleSpec, *v1alpha1.RuleStatus) {
	switch of := obj.(type) {
	case *v1alpha1.ClusterRule:
		return &of.Spec, &of.Status
	case *v1alpha1.Rule:
		return &of.Spec, &of.Status
	}
	return &v1alpha1.RuleSpec{}, &v1alpha1.RuleStatus{}
}

// Read returns a rule of either kind, and its spec.
func Read(ctx context.Context, reader client.Reader, key rule.Key) (client.Object, *v1alpha1.RuleSpec, error) {
	var obj client.Object = &v1alpha1.Rule{}
	if key.Kind == rule.KindClusterRule {
		obj = &v1alpha1.ClusterRule{}
	}
	err := reader.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, obj)
	if err != nil {
		err = fmt.Errorf("read %s: %w", key, err)
	}
	spec, _ := PartsOf(obj)
	return obj, spec, err
}
