package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// refs returns the names of the image of r: that of the generated manifests first.
func (b *builder) refs(ctx context.Context, r recipe) ([]string, error) {
	tag, err := b.tag(ctx, r)
	if err != nil {
		return nil, err
	}
	refs := []string{r.repository + ":" + tag}
	if !r.distributed {
		return refs, nil
	}
	source, err := b.operatorSource(ctx)
	if err != nil {
		return nil, err
	}
	// The distribution can be a patch version behind the program in the image.
	tag, err = distributed(source, r.name)
	if err != nil {
		return nil, err
	}
	return append(refs, DistributionRegistry+"/"+r.name+":"+tag), nil
}

// tag is the one that the manifests name.
func (b *builder) tag(ctx context.Context, r recipe) (string, error) {
	switch r.name {
	case Pause:
		return pauseTag, nil
	case Mainstay, MainstayNext:
		tag, err := kustomizedTag(filepath.Join(b.root, "manifests", "base", "kustomization.yaml"), r.repository)
		return tag + r.tagSuffix, err
	default:
		// The manifests of Flux are made from the same modules as the programs.
		return tools.Version(ctx, b.root, r.name)
	}
}

// operatorSource is the folder of flux-operator's module.
func (b *builder) operatorSource(ctx context.Context) (string, error) {
	return tools.SourceDir(ctx, b.root, FluxOperator, "github.com/controlplaneio-fluxcd/flux-operator")
}

// kustomizedTag returns the tag that a kustomization gives to an image.
func kustomizedTag(path, image string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the tag of %s: %w", image, err)
	}
	var kustomization struct {
		Images []struct{ Name, NewTag string }
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return "", fmt.Errorf("reading the tag of %s in %s: %w", image, path, err)
	}
	for _, i := range kustomization.Images {
		if i.Name == image && i.NewTag != "" {
			return i.NewTag, nil
		}
	}
	return "", fmt.Errorf("reading the tag of %s: %s gives it none", image, path)
}

// distributed returns the tag of a controller in the newest distribution of Flux that
// is in the module of flux-operator.
func distributed(source, controller string) (string, error) {
	dir := filepath.Join(source, "config", "data", "flux")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("reading the distributions of flux-operator: %w", err)
	}
	newest := version.MustParseSemantic("v0.0.0")
	for _, e := range entries {
		if v, err := version.ParseSemantic(e.Name()); err == nil && newest.LessThan(v) {
			newest = v
		}
	}
	manifest := filepath.Join(dir, "v"+newest.String(), controller+".yaml")
	image, err := deployed(manifest)
	if err != nil {
		return "", fmt.Errorf("reading the distribution of Flux %s: %w", newest, err)
	}
	_, tag, found := strings.Cut(image, ":")
	if !found {
		return "", fmt.Errorf("reading the distribution of Flux %s: %s has no tag", newest, image)
	}
	return tag, nil
}

// deployed returns the image of the first container of the Deployment in a file.
func deployed(path string) (string, error) {
	opened, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = opened.Close() }()
	const buffer = 4096
	for decoder := utilyaml.NewYAMLOrJSONDecoder(opened, buffer); ; {
		var object struct {
			Kind string `json:"kind"`
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct {
							Image string `json:"image"`
						} `json:"containers"`
					} `json:"spec"`
				} `json:"template"`
			} `json:"spec"`
		}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return "", fmt.Errorf("no Deployment in %s", path)
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
		if containers := object.Spec.Template.Spec.Containers; object.Kind == "Deployment" && len(containers) > 0 {
			return containers[0].Image, nil
		}
	}
}
