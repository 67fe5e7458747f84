package tools

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// completed returns flags of go build that have it take j's module from a copy of
// its source with j's added files, both made below work. The go command refuses an
// overlay of a file in the module cache, and nothing may be written there.
func (b *Builder) completed(ctx context.Context, j job, work string) ([]string, error) {
	added := j.tool.added()
	if len(added) == 0 {
		return nil, nil
	}
	source, err := SourceDir(ctx, b.root, j.tool.Module, j.provider.Path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(work, "source")
	// The copies can be written and removed, which what is in the module cache cannot.
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return nil, fmt.Errorf("copying the source of %s: %w", j.provider.Path, err)
	}
	for path, text := range sorted(added) {
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, fmt.Errorf("adding %s to %s: %w", path, j.provider.Path, err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("adding %s to %s: %w", path, j.provider.Path, err)
		}
	}
	// The go command keeps go.sum beside the file that -modfile names.
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(j.module.dir, name))
		if err != nil {
			return nil, fmt.Errorf("copying the tool module %s: %w", j.module.name, err)
		}
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			return nil, fmt.Errorf("copying the tool module %s: %w", j.module.name, err)
		}
	}
	modfile := filepath.Join(work, "go.mod")
	if _, err := goOutput(ctx, work, "mod", "edit", "-replace", j.provider.Path+"="+dir, modfile); err != nil {
		return nil, fmt.Errorf("replacing %s by its copy: %w", j.provider.Path, err)
	}
	return []string{"-modfile", modfile}, nil
}

// sorted yields the files in an order that is always the same.
func sorted(files map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, path := range slices.Sorted(maps.Keys(files)) {
			if !yield(path, files[path]) {
				return
			}
		}
	}
}
