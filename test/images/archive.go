package images

import (
	"fmt"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// content is all that an image is made of.
type content struct {
	refs       []string
	user       string
	entrypoint []string
	files      []file
}

// archive writes the image as a docker archive to path. The same content gives the
// same bytes.
func (c content) archive(path string) error {
	data, err := layer(c.files)
	if err != nil {
		return err
	}
	// Not compressed: it is read from the same disk within the minute.
	only := static.NewLayer(data, types.DockerUncompressedLayer)
	// An image value for each name: the library orders the names of one value at
	// random. What they share is in the archive once.
	named := map[name.Tag]v1.Image{}
	for _, ref := range c.refs {
		tag, err := name.NewTag(ref, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("making the image %s: %w", ref, err)
		}
		if named[tag], err = c.image(only); err != nil {
			return fmt.Errorf("making the image %s: %w", ref, err)
		}
	}
	if err := tarball.MultiWriteToFile(path, named); err != nil {
		return fmt.Errorf("writing the archive of %s: %w", c.refs[0], err)
	}
	return nil
}

// image returns an image of the layer.
func (c content) image(only v1.Layer) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, only)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{
		User:       c.user,
		Entrypoint: c.entrypoint,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		WorkingDir: "/",
	}
	return mutate.ConfigFile(image, config)
}
