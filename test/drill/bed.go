package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/gitserver"
	"github.com/mainstay-dev/mainstay/test/images"
)

const (
	workers = 3
	// restTimeout is how long a cluster may take to come to rest after a fault.
	restTimeout = 3 * time.Minute
	// placeTimeout bounds putting the leaders on their workers.
	placeTimeout = 3 * time.Minute
	// placeTries bounds how often that is done before a run.
	placeTries = 4
	// installTimeout bounds what is installed on a new cluster.
	installTimeout = 5 * time.Minute
)

// bed is a cluster with one variant on it.
type bed struct {
	variant string
	// setup is the digest of what is installed.
	setup   string
	root    string
	cluster *cluster.Cluster
	git     *gitserver.Server
	gitDir  string
	// kustomize and helm are the repositories that the stall is measured with.
	kustomize, helm *gitserver.Repo
	flux            *fluxrun.Flux
	client          client.Client
	logs            kubernetes.Interface
	versions        map[string]string
}

// home is the worker that a controller's leader is put on: a worker of its own, so
// that a fault of one worker is a fault of one controller.
func home(controller string) string {
	return fmt.Sprintf("worker-%d", 1+slices.Index(controllers(), controller))
}

// newBed starts a cluster, installs a variant and returns when commits are live.
// Programs and images that the cache lacks are built first. Nothing is left of a bed
// that fails.
func newBed(ctx context.Context, variant, setup, root string, out io.Writer) (_ *bed, err error) {
	b := &bed{variant: variant, setup: setup, root: root}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making a cluster with %s: %w", variant, err), b.close())
		}
	}()
	options := fluxrun.Options{Out: out}
	wanted := options.Images()
	if variant == variantMainstay {
		wanted = append(wanted, images.Mainstay)
	}
	built, err := images.Build(ctx, out, wanted...)
	if err != nil {
		return nil, err
	}
	var archives []string
	for _, name := range wanted {
		archives = append(archives, built[name].Archive)
	}
	b.cluster, err = cluster.Start(ctx, cluster.Options{Real: true, Workers: workers, Images: archives, Out: out})
	if err != nil {
		return nil, err
	}
	if err := b.connect(ctx, out); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	options.Cluster = b.cluster
	if variant != variantStock {
		options.Components = []string{"patches/flux-ha"}
	}
	if b.flux, err = fluxrun.Install(ctx, options); err != nil {
		return nil, err
	}
	if variant == variantMainstay {
		if err := b.installMainstay(ctx); err != nil {
			return nil, err
		}
	}
	if b.versions, err = b.versionsOf(built); err != nil {
		return nil, err
	}
	return b, b.startDelivery(ctx)
}

// connect makes the clients and the Git server.
func (b *bed) connect(ctx context.Context, out io.Writer) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("making the scheme of the client: %w", err)
	}
	cfg := b.cluster.Config()
	cfg.QPS, cfg.Burst = 50, 100
	var err error
	if b.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if b.logs, err = kubernetes.NewForConfig(cfg); err != nil {
		return fmt.Errorf("making a client for logs: %w", err)
	}
	if b.gitDir, err = os.MkdirTemp("", "mainstay-drill-git-"); err != nil {
		return fmt.Errorf("making the folder of the repositories: %w", err)
	}
	b.git, err = gitserver.Start(ctx, gitserver.Options{Address: b.cluster.HostIP() + ":0", Dir: b.gitDir})
	return err
}

// installMainstay has Flux install Mainstay from Git, as flux/README.md says.
func (b *bed) installMainstay(ctx context.Context) error {
	repos, err := gitops.Create(ctx, b.git, b.root, poll)
	if err != nil {
		return err
	}
	if err := b.flux.Sync(ctx, repos.Sync()); err != nil {
		return err
	}
	if err := b.flux.AwaitReady(ctx, gitops.Program); err != nil {
		return err
	}
	return b.flux.Reconcile(ctx, gitops.Rules)
}

func (b *bed) versionsOf(built map[string]images.Image) (map[string]string, error) {
	server, err := b.logs.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's version: %w", err)
	}
	versions := map[string]string{"Kubernetes": server.GitVersion}
	for name, image := range built {
		versions[name] = tagOf(image.Ref)
	}
	return versions, nil
}

// tagOf is what stands after the last colon of an image's name.
func tagOf(ref string) string {
	for i := len(ref) - 1; i >= 0 && ref[i] != '/'; i-- {
		if ref[i] == ':' {
			return ref[i+1:]
		}
	}
	return "without a tag"
}

// rest waits until everything works, every leader is at home, and its standbys are
// elsewhere.
func (b *bed) rest(ctx context.Context) error {
	if err := b.steady(ctx); err != nil {
		return fmt.Errorf("coming to rest: %w", err)
	}
	for range placeTries {
		moved, err := b.place(ctx)
		if err != nil || !moved {
			return err
		}
		if err := b.steady(ctx); err != nil {
			return fmt.Errorf("coming to rest with the leaders in place: %w", err)
		}
	}
	return fmt.Errorf("coming to rest: the pods are not in place after %d tries", placeTries)
}

// place moves what is not in place, and says whether it moved anything.
func (b *bed) place(ctx context.Context) (moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	for _, controller := range controllers() {
		placed, err := b.flux.Placed(ctx, controller, home(controller))
		if err != nil {
			return false, err
		}
		if placed {
			continue
		}
		moved = true
		if err := b.flux.Place(ctx, controller, home(controller)); err != nil {
			return false, err
		}
	}
	return moved, nil
}

// steady waits until Flux is steady, the cluster whole, and commits are live on both
// paths.
func (b *bed) steady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	if err := b.flux.Steady(ctx); err != nil {
		return err
	}
	if err := settled(ctx, b.client); err != nil {
		return err
	}
	for _, controller := range []string{"kustomize-controller", "helm-controller"} {
		if err := b.delivers(ctx, controller); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything. It may be called on a bed that was never finished.
//
//nolint:contextcheck,nolintlint // It ends things after an interrupt too; contextcheck looks for this at what is called.
func (b *bed) close() error {
	var errs []error
	if b.cluster != nil {
		errs = append(errs, b.cluster.Stop())
	}
	if b.git != nil {
		errs = append(errs, b.git.Close())
	}
	if b.gitDir != "" {
		errs = append(errs, os.RemoveAll(filepath.Clean(b.gitDir)))
	}
	return errors.Join(errs...)
}
