package fluxrun

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/fluxgen"
	"github.com/mainstay-dev/mainstay/test/images"
)

// fieldOwner is the one of the flux command line.
const fieldOwner = client.FieldOwner("flux")

// Flux is an installation of Flux. Its methods may be called from several goroutines,
// but for Place, which cordons nodes.
type Flux struct {
	client      client.WithWatch
	namespace   string
	controllers []string
	out         io.Writer
}

// New returns the Flux of a cluster without installing anything.
func New(opts Options) (*Flux, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg := rest.CopyConfig(opts.Cluster.Config())
	// What the API server finds deprecated in Flux's manifests is Flux's to know.
	cfg.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for Flux: %w", err)
	}
	controllers := slices.Clone(opts.Controllers)
	if opts.Operator {
		controllers = append([]string{images.FluxOperator}, controllers...)
	}
	return &Flux{client: c, namespace: opts.Namespace, controllers: controllers, out: opts.Out}, nil
}

// Install installs Flux and returns when every controller is rolled out. An image that
// a worker lacks is an error that names both.
func Install(ctx context.Context, opts Options) (*Flux, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	f, err := New(opts)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if opts.Operator {
		err = f.installOperator(ctx, opts)
	} else {
		err = f.installManifests(ctx, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("installing Flux: %w", err)
	}
	f.say("Flux is rolled out after %s", time.Since(began).Round(100*time.Millisecond))
	return f, nil
}

// Namespace is where Flux runs.
func (f *Flux) Namespace() string { return f.namespace }

// Controllers are the names of the controllers, with flux-operator where it runs.
func (f *Flux) Controllers() []string { return slices.Clone(f.controllers) }

func (f *Flux) installManifests(ctx context.Context, opts Options) error {
	text, err := fluxgen.Manifests(ctx, fluxgen.Options{Namespace: opts.Namespace, Components: opts.Controllers})
	if err != nil {
		return err
	}
	if len(opts.Components) > 0 {
		if text, err = fluxgen.WithPatches("", text, opts.Components...); err != nil {
			return err
		}
	}
	if err := f.applyManifests(ctx, text, neverPull); err != nil {
		return err
	}
	return f.awaitRollouts(ctx, f.controllers...)
}

func (f *Flux) installOperator(ctx context.Context, opts Options) error {
	text, err := fluxgen.Operator(ctx, "")
	if err != nil {
		return err
	}
	if err := f.applyManifests(ctx, text, neverPull, fips); err != nil {
		return err
	}
	if err := f.awaitRollouts(ctx, images.FluxOperator); err != nil {
		return err
	}
	instance, err := fluxInstance(opts)
	if err != nil {
		return err
	}
	if err := f.apply(ctx, instance); err != nil {
		return err
	}
	if err := f.awaitInstance(ctx, instance); err != nil {
		return err
	}
	return f.awaitRollouts(ctx, opts.Controllers...)
}

// awaitInstance waits until flux-operator has installed what a FluxInstance asks for. A
// stalled one is not tried again.
func (f *Flux) awaitInstance(ctx context.Context, instance *unstructured.Unstructured) error {
	return await(ctx, describe(instance)+" to be Ready", func(ctx context.Context) error {
		current, err := f.get(ctx, instance)
		if err != nil {
			return err
		}
		notReady := condition(current, "Ready")
		if notReady != nil && condition(current, "Stalled") == nil {
			return fmt.Errorf("%w: %w", errHopeless, notReady)
		}
		return notReady
	})
}

func (f *Flux) applyManifests(ctx context.Context, text []byte, changes ...func(container map[string]any)) error {
	objects, err := decode(text)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if err := changeContainers(obj, changes...); err != nil {
			return err
		}
	}
	return f.applyAll(ctx, objects)
}

// say writes a line about the progress. A line that cannot be written is no failure.
func (f *Flux) say(format string, args ...any) {
	_, _ = fmt.Fprintf(f.out, format+"\n", args...)
}

// describe is how an error names an object.
func describe(obj *unstructured.Unstructured) string {
	if obj.GetNamespace() == "" {
		return obj.GetKind() + " " + obj.GetName()
	}
	return obj.GetKind() + " " + obj.GetNamespace() + "/" + obj.GetName()
}
