package fluxgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Modules that every generation reads. A controller's own module is called
// controllerModules + its name.
const (
	flux2Module        = "github.com/fluxcd/flux2/v2"
	distributionModule = "github.com/controlplaneio-fluxcd/flux-operator"
	controllerModules  = "github.com/fluxcd/"
)

// module is a Go module in the module cache.
type module struct {
	Path    string
	Version string
	Dir     string
	Error   string
}

// modules returns the modules that the go.mod in dir requires, by path. Those
// that are not in the module cache yet are downloaded and checked against
// go.sum; with a warm cache it needs no network.
func modules(ctx context.Context, dir string) (map[string]module, error) {
	out, err := goCommand(ctx, dir, "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var mod struct {
		Require []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, fmt.Errorf("reading go.mod in %s: %w", dir, err)
	}

	args := []string{"mod", "download", "-json"}
	for _, r := range mod.Require {
		args = append(args, r.Path)
	}
	// A module that cannot be had makes the command fail and is named in its
	// output, which says more than the exit code.
	out, cmdErr := goCommand(ctx, dir, args...)
	found := map[string]module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var m module
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer of go mod download in %s: %w", dir, errors.Join(err, cmdErr))
		}
		if m.Error != "" {
			return nil, fmt.Errorf("downloading module %s: %s", m.Path, m.Error)
		}
		found[m.Path] = m
	}
	if cmdErr != nil {
		return nil, cmdErr
	}
	for _, path := range []string{flux2Module, distributionModule} {
		if _, ok := found[path]; !ok {
			return nil, fmt.Errorf("go.mod in %s does not require %s", dir, path)
		}
	}
	return found, nil
}

// goCommand runs the go command in dir and returns its standard output, also
// when it fails.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("running go %s %s in %s: %w: %s", args[0], args[1], dir, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// repositoryRoot returns the closest folder at or above the working directory
// that holds tools/flux/go.mod.
func repositoryRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tools", "flux", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder at or above %s holds tools/flux/go.mod", wd)
		}
	}
}
