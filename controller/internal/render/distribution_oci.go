package render

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/tar"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxArtifact bounds what an OCI artifact may unpack to, in bytes: all versions
// of Flux have some 100 MiB.
const maxArtifact = 1 << 30

// pull unpacks the layers of an OCI artifact into a new folder, with the user's
// own credentials for registries. The caller removes it.
func pull(ctx context.Context, reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("read the reference: %w", err)
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("pull it: %w", err)
	}
	layers, err := image.Layers()
	if err != nil {
		return "", fmt.Errorf("read its layers: %w", err)
	}
	dir, err := os.MkdirTemp("", "mainstay-distribution-")
	if err != nil {
		return "", fmt.Errorf("make a folder for it: %w", err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err == nil {
			err = tar.Untar(content, dir, tar.WithMaxUntarSize(maxArtifact), tar.WithSkipSymlinks())
			_ = content.Close()
		}
		if err != nil {
			_ = os.RemoveAll(dir)
			return "", fmt.Errorf("unpack it: %w", err)
		}
	}
	return dir, nil
}
