package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// keyLength is how many hexadecimal digits of a module's hash name its folder in
// the cache.
const keyLength = 12

// cancelGrace is how long the go command has to end after its context.
const cancelGrace = 5 * time.Second

// toolModule is one of the modules below tools/.
type toolModule struct {
	name     string
	dir      string
	key      string
	requires []requirement
}

type requirement struct{ Path, Version string }

// loadModule reads the module in <root>/tools/<name>.
func loadModule(ctx context.Context, root, name string) (toolModule, error) {
	m := toolModule{name: name, dir: filepath.Join(root, "tools", name)}
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(m.dir, file))
		if err != nil {
			return m, fmt.Errorf("reading the tool module %s: %w", name, err)
		}
		hash.Write(fmt.Appendf(nil, "%s %d\n", file, len(text)))
		hash.Write(text)
	}
	version, err := goOutput(ctx, m.dir, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return m, fmt.Errorf("reading the Go version for the tool module %s: %w", name, err)
	}
	hash.Write(version)
	recipe := Tool{Module: name}
	hash.Write([]byte(recipe.ldflags("v0.0.0")))
	for path, text := range sorted(recipe.added()) {
		hash.Write(fmt.Appendf(nil, "%s %d\n%s", path, len(text), text))
	}
	m.key = hex.EncodeToString(hash.Sum(nil))[:keyLength]

	text, err := goOutput(ctx, m.dir, "mod", "edit", "-json")
	if err != nil {
		return m, fmt.Errorf("reading the requirements of the tool module %s: %w", name, err)
	}
	var parsed struct{ Require []requirement }
	if err := json.Unmarshal(text, &parsed); err != nil {
		return m, fmt.Errorf("reading the requirements of the tool module %s: %w", name, err)
	}
	m.requires = parsed.Require
	return m, nil
}

// providing is the required module that the package belongs to.
func (m toolModule) providing(pkg string) (requirement, error) {
	best := requirement{}
	for _, r := range m.requires {
		if (pkg == r.Path || strings.HasPrefix(pkg, r.Path+"/")) && len(r.Path) > len(best.Path) {
			best = r
		}
	}
	if best.Version == "" {
		return best, fmt.Errorf("tool module %s requires no module that has %s", m.name, pkg)
	}
	return best, nil
}

// SourceDir returns the folder of a module's source in the Go module cache, at the
// version that <root>/tools/<module> pins, downloading it when it is not there.
func SourceDir(ctx context.Context, root, module, path string) (string, error) {
	text, err := goOutput(ctx, filepath.Join(root, "tools", module), "mod", "download", "-json", path)
	if err != nil {
		return "", fmt.Errorf("finding the source of %s: %w", path, err)
	}
	var parsed struct{ Dir, Error string }
	if err := json.Unmarshal(text, &parsed); err != nil {
		return "", fmt.Errorf("finding the source of %s: %w", path, err)
	}
	if parsed.Dir == "" {
		return "", fmt.Errorf("finding the source of %s: %s", path, parsed.Error)
	}
	return parsed.Dir, nil
}

// goOutput runs the go command in dir and returns what it prints. Its error has the
// command's own words.
func goOutput(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := goCommand(ctx, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("go %s in %s: %w", strings.Join(args, " "), dir, context.Cause(ctx))
		}
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("the go command is needed to build the tools: %w", err)
		}
		return nil, fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// goCommand is a run of the go command that a workspace of the user's or a vendor
// flag does not change.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// On an interrupt the go command ends its compilers, which a kill would leave.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = cancelGrace
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	return cmd
}
