package replicas

import (
	"context"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// Install applies manifests/base without its Deployment, whose pods the processes of a
// Set are, and waits until the kinds are served.
func Install(ctx context.Context, c *cluster.Cluster) error {
	root, err := tools.Root()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(root, "manifests", "base")},
		{"-n", Namespace, "delete", "deployment", "mainstay"},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return c.AwaitDefinitions(ctx)
}
