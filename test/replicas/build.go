package replicas

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// Build builds mainstay into a folder and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := tools.Root()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "mainstay")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./controller/cmd/mainstay")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mainstay: %w: %s", err, text)
	}
	return program, nil
}
