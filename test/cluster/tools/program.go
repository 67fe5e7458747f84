package tools

import (
	"bytes"
	"context"
	"fmt"
)

// Version returns the version of the module that the named tool is built from, as
// the module below <root>/tools pins it.
func Version(ctx context.Context, root, name string) (string, error) {
	tool, ok := find(name)
	if !ok {
		return "", fmt.Errorf("no tool is named %q", name)
	}
	module, err := loadModule(ctx, root, tool.Module)
	if err != nil {
		return "", err
	}
	provider, err := module.providing(tool.Package)
	return provider.Version, err
}

// BuildProgram builds a program of the project at root, static, to the file path.
// It is built anew each time, from the tree as it is; the go command's own cache
// makes that quick.
func BuildProgram(ctx context.Context, root, pkg, ldflags, path string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", path, pkg}
	if words, err := goCommand(ctx, root, args...).CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("building %s: %w", pkg, context.Cause(ctx))
		}
		return fmt.Errorf("building %s: %w\n%s", pkg, err, bytes.TrimSpace(words))
	}
	return nil
}
