package cluster

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workersRole names the rights that simulated workers have beyond a kubelet's.
const workersRole = "mainstay-test:simulated-workers"

// allowWorkers gives nodes the few rights that kwok needs and a kubelet lacks: it
// lists nodes to see whether the API server serves, and it watches its lease where a
// kubelet gets it. The Node authorizer grants the rest. An existing cluster's workers
// act as its administrator and need nothing.
func (c *Cluster) allowWorkers(ctx context.Context) error {
	if c.plane == nil {
		return nil
	}
	meta := metav1.ObjectMeta{Name: workersRole}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"list", "watch"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: workersRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:nodes"}},
	}
	if _, err := c.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("giving simulated workers their rights: %w", err)
	}
	if _, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("giving simulated workers their rights: %w", err)
	}
	return nil
}
