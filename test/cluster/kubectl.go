package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// definitionsWithin bounds how long definitions may take to be served.
const definitionsWithin = time.Minute

// AwaitDefinitions returns when every CustomResourceDefinition is served. kubectl wait
// is no way: it fails on one whose status nobody has written yet.
func (c *Cluster) AwaitDefinitions(ctx context.Context) error {
	const established = `{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Established")].status}{"\n"}{end}`
	seen := ""
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, definitionsWithin, true, func(ctx context.Context) (bool, error) {
		var err error
		if seen, err = c.Kubectl(ctx, "get", "customresourcedefinitions", "-o", "jsonpath="+established); err != nil {
			return false, err
		}
		for line := range strings.Lines(seen) {
			if !strings.HasSuffix(strings.TrimSpace(line), "=True") {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the definitions to be served: %w; seen last: %s", err, strings.Join(strings.Fields(seen), " "))
	}
	return nil
}

// KubectlPath is the path of a kubectl of the cluster's version.
func (c *Cluster) KubectlPath() string { return c.kubectl }

// Kubectl runs kubectl as the cluster's administrator and returns what it printed.
// The error has what it said on standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.Kubeconfig(),
		"KUBECACHEDIR="+filepath.Join(c.dir, "kubectl"),
	)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
