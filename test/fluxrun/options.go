package fluxrun

import (
	"errors"
	"fmt"
	"io"

	"k8s.io/client-go/rest"
	kustypes "sigs.k8s.io/kustomize/api/types"

	"github.com/mainstay-dev/mainstay/test/images"
)

const defaultNamespace = "flux-system"

// Cluster is what Flux is installed on.
type Cluster interface {
	Config() *rest.Config
}

// Options of Install.
type Options struct {
	Cluster Cluster
	// Namespace of Flux. The default is flux-system; with Operator there is no other.
	Namespace string
	// Controllers to install, by name. The default are those of Flux:
	// source-, kustomize-, helm- and notification-controller. Without the last one events
	// go nowhere.
	Controllers []string
	// Components are kustomize Components of this repository that the manifests are
	// built with, such as patches/flux-ha. Not with Operator.
	Components []string
	// Operator has the real flux-operator install Flux from a FluxInstance.
	Operator bool
	// Patches are those of the FluxInstance, in its spec.kustomize.patches. Only with
	// Operator.
	Patches []kustypes.Patch
	// Out gets lines about what takes long. The default is to say nothing.
	Out io.Writer
}

// Images are the names, for images.Build, of the images that the workers need.
func (o Options) Images() []string {
	names := append([]string{}, o.controllers()...)
	if o.Operator {
		names = append(names, images.FluxOperator)
	}
	return names
}

func (o Options) controllers() []string {
	if len(o.Controllers) > 0 {
		return o.Controllers
	}
	return []string{images.SourceController, images.KustomizeController, images.HelmController, images.NotificationController}
}

// withDefaults fills in what is not set, or says what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Cluster == nil {
		return o, errors.New("flux options: there is no cluster")
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	o.Controllers = o.controllers()
	if o.Out == nil {
		o.Out = io.Discard
	}
	switch {
	case o.Operator && len(o.Components) > 0:
		return o, errors.New("flux options: a FluxInstance takes patches and no Components")
	case o.Operator && o.Namespace != defaultNamespace:
		return o, fmt.Errorf("flux options: the manifests of flux-operator install it in %s, not in %s", defaultNamespace, o.Namespace)
	case !o.Operator && len(o.Patches) > 0:
		return o, errors.New("flux options: patches are those of a FluxInstance, which takes Operator")
	}
	return o, nil
}
