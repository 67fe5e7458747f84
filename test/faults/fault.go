package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// Target is what a fault is aimed at.
type Target struct {
	Cluster *cluster.Cluster
	// Worker is the name of the worker that goes bad. Faults that do not need one
	// ignore it.
	Worker string
	// Namespace and App name a controller: the pods with the label app=<App> in that
	// namespace. Only those of them that are on Worker are meant. Faults that do not
	// need a controller ignore both.
	Namespace string
	App       string
}

// Fault is one way in which a cluster breaks.
//
// Some faults are kept up by goroutines of this process, so a fault is healed
// through the value, or a copy of it, that injected it. It ends with the process at
// the latest.
type Fault struct {
	// Name is short, in kebab case, and the same in every report.
	Name string
	// Description says in a sentence or two what happens and what goes on working.
	Description string
	// NeedsWorker and NeedsApp say what a Target must have for this fault.
	NeedsWorker bool
	NeedsApp    bool
	// Lasts is how long after Inject the fault is to be healed: it is part of what
	// the fault is. 0 is a fault that lasts until somebody mends it.
	Lasts time.Duration

	how mechanism
}

// mechanism is how a fault is made. inject and heal get a target that has what the
// fault needs.
type mechanism interface {
	supported() error
	inject(ctx context.Context, t Target) error
	heal(ctx context.Context, t Target) error
}

// Inject brings the fault about and returns when it is in force. Injecting twice is
// as good as once. After an error a part of the fault may be in force; Heal ends it.
func (f Fault) Inject(ctx context.Context, t Target) error {
	if err := f.fits(t); err != nil {
		return fmt.Errorf("injecting %s: %w", f.Name, err)
	}
	if err := f.how.inject(ctx, t); err != nil {
		return fmt.Errorf("injecting %s%s: %w", f.Name, f.where(t), err)
	}
	return nil
}

// Heal ends the fault and leaves nothing of it behind. It does nothing where there is
// no fault. What the fault has led to, such as a back-off or a NotReady node, takes
// its own time to pass.
func (f Fault) Heal(ctx context.Context, t Target) error {
	if err := f.fits(t); err != nil {
		return fmt.Errorf("healing %s: %w", f.Name, err)
	}
	if err := f.how.heal(ctx, t); err != nil {
		return fmt.Errorf("healing %s%s: %w", f.Name, f.where(t), err)
	}
	return nil
}

// Supported returns nil when this machine can produce the fault, and otherwise an
// error that names what it lacks.
func (f Fault) Supported() error {
	if err := f.how.supported(); err != nil {
		return fmt.Errorf("%s cannot be produced here: %w", f.Name, err)
	}
	return nil
}

// fits says what the target lacks for this fault.
func (f Fault) fits(t Target) error {
	if t.Cluster == nil {
		return errors.New("the target has no cluster")
	}
	if f.NeedsWorker && !slices.Contains(t.Cluster.Workers(), t.Worker) {
		return fmt.Errorf("no worker is named %q", t.Worker)
	}
	if f.NeedsApp && (t.Namespace == "" || t.App == "") {
		return fmt.Errorf("the target names no controller: namespace %q, app %q", t.Namespace, t.App)
	}
	return nil
}

func (f Fault) where(t Target) string {
	switch {
	case f.NeedsApp:
		return " into " + t.App + " on " + t.Worker
	case f.NeedsWorker:
		return " on " + t.Worker
	default:
		return ""
	}
}

// Named returns the fault of that name from All.
func Named(name string) (Fault, error) {
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
	}
	return Fault{}, fmt.Errorf("no fault is named %q", name)
}
