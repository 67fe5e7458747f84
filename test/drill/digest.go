package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// measuring is the digest of what the drill itself does: faults, cluster, meter, and
// the generator of Flux's manifests with its modules. It must be made when the program
// starts, which has that built in.
func measuring(root string) (string, error) { return sum(root, "", measures()) }

// measures are the folders and files that this program is made of.
func measures() []string {
	return []string{
		"go.mod", "test/cluster", "test/drill", "test/e2e/gitops", "test/faults", "test/fluxgen", "test/fluxrun",
		"test/gitserver", "test/images", "test/stall",
	}
}

// digest tells the setups of a variant apart: it is another one as soon as a file
// changes that decides what is installed, or measuring does. Tests and pages decide
// nothing.
func digest(root, variant, measuring string) (string, error) {
	paths := []string{
		"tools/flux/go.mod", "tools/kubernetes/go.mod", "tools/kubernetes-node/go.mod", "tools/etcd/go.mod", "tools/coredns/go.mod",
		"tools/source-controller/go.mod", "tools/kustomize-controller/go.mod", "tools/helm-controller/go.mod",
		"tools/notification-controller/go.mod",
	}
	switch variant {
	case variantStock:
	case variantPatches:
		paths = append(paths, "patches/flux-ha")
	case variantMainstay:
		paths = append(paths, "patches/flux-ha", "manifests", "flux", "controller")
	default:
		return "", fmt.Errorf("there is no variant %q", variant)
	}
	slices.Sort(paths)
	return sum(root, measuring, paths)
}

// sum is the digest of a text and of all files at or below the paths.
func sum(root, text string, paths []string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, text)
	for _, path := range paths {
		err := filepath.WalkDir(filepath.Join(root, path), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, ".md") {
				return err
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, file)
			_, _ = fmt.Fprintf(sum, "%s %d\n%s\n", filepath.ToSlash(name), len(content), content)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}
