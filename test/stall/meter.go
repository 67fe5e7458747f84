package stall

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const (
	defaultPeriod = 2 * time.Second
	// commitTimeout bounds one commit, which takes some 10 ms.
	commitTimeout = 10 * time.Second
	// clientQPS and clientBurst never hold the meter's own client back: it looks
	// every second.
	clientQPS   = 50
	clientBurst = 100
	// sequenceKey is where the ConfigMap has the sequence number.
	sequenceKey = "sequence"
)

// Committer is a repository that the meter commits to.
type Committer interface {
	// Commit writes files and returns the revision.
	Commit(ctx context.Context, message string, files map[string][]byte) (string, error)
}

// Options of Start.
type Options struct {
	// Config is for the cluster that is watched.
	Config *rest.Config
	// Repo gets the commits.
	Repo Committer
	// Path of the file in the repository that the meter writes, below the path of a
	// Kustomization. The default is meter/meter.yaml.
	Path string
	// Namespace and Name of the ConfigMap that the file holds. The defaults are
	// default and stall-meter.
	Namespace, Name string
	// Period between two commits. The default is 2 s.
	Period time.Duration
}

// Meter commits and watches until it is stopped. Its methods may be called from
// several goroutines.
type Meter struct {
	opts    Options
	client  kubernetes.Interface
	began   time.Time
	record  *record
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start makes the first commit, has a first look at the cluster, and goes on with both
// until Stop or until ctx ends. The cluster must answer now; later it may be away.
func Start(ctx context.Context, opts Options) (*Meter, error) {
	if opts.Path == "" {
		opts.Path = "meter/meter.yaml"
	}
	if opts.Namespace == "" {
		opts.Namespace = metav1.NamespaceDefault
	}
	if opts.Name == "" {
		opts.Name = "stall-meter"
	}
	if opts.Period == 0 {
		opts.Period = defaultPeriod
	}
	cfg := rest.CopyConfig(opts.Config)
	cfg.QPS, cfg.Burst = clientQPS, clientBurst
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the stall meter's client: %w", err)
	}
	began := time.Now()
	m := &Meter{
		opts:   opts,
		client: client,
		began:  began,
		// Numbers go on from those of a meter before, which the cluster still has.
		record: newRecord(began.UnixMilli()),
	}
	if _, err := m.look(ctx); err != nil {
		return nil, fmt.Errorf("starting the stall meter: %w", err)
	}
	if err := m.commit(ctx); err != nil {
		return nil, fmt.Errorf("starting the stall meter: %w", err)
	}
	ctx, m.cancel = context.WithCancel(ctx)
	m.running.Go(func() { m.commits(ctx) })
	m.running.Go(func() { m.watches(ctx) })
	m.running.Go(func() { m.looks(ctx) })
	return m, nil
}

// Stop ends the meter. What it saw stays.
func (m *Meter) Stop() {
	m.cancel()
	m.running.Wait()
}

// Now is the time on the meter's clock, which is monotonic and starts at zero.
func (m *Meter) Now() time.Duration { return time.Since(m.began) }

// Samples are what the meter has seen so far.
func (m *Meter) Samples() Samples { return m.record.samples(m.Now()) }

// Err is why a commit could not be made. The meter makes none after that, and no
// figure of a run that ends with it is good.
func (m *Meter) Err() error { return m.record.err() }

// Measure computes what a fault at the given time did until now, with the given time
// before it as the baseline. Errors are those of the function Measure and of Err.
func (m *Meter) Measure(fault, baseline time.Duration) (Result, error) {
	if err := m.Err(); err != nil {
		return Result{}, err
	}
	return Measure(m.Samples(), Window{From: max(0, fault-baseline), Fault: fault, End: m.Now()})
}

// AwaitRecovery waits until a commit that was made after the fault is live, and tells
// whether one was before limit had passed since the fault.
func (m *Meter) AwaitRecovery(ctx context.Context, fault, limit time.Duration) (bool, error) {
	timeout := time.NewTimer(fault + limit - m.Now())
	defer timeout.Stop()
	for {
		changed := m.record.changed()
		s := m.Samples()
		if first, ok := s.madeAfter(fault); ok {
			if live, ok := s.live(first.Sequence); ok {
				return live.At <= fault+limit, nil
			}
		}
		if err := m.Err(); err != nil {
			return false, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			return false, nil
		case <-ctx.Done():
			return false, fmt.Errorf("waiting for a commit after the fault to be live: %w", context.Cause(ctx))
		}
	}
}

// Stalled tells whether no commit made after the fault is live yet, or nothing new has
// become live for longer than MaxGap.
func (m *Meter) Stalled(fault time.Duration) bool {
	_, calm := calmSince(m.Samples(), fault, m.Now())
	return !calm
}

// AwaitCalm waits until commits made after the fault have become live for a span
// without a gap longer than MaxGap, or until limit has passed since the fault.
func (m *Meter) AwaitCalm(ctx context.Context, fault, span, limit time.Duration) error {
	timeout := time.NewTimer(fault + limit - m.Now())
	defer timeout.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		now := m.Now()
		if since, calm := calmSince(m.Samples(), fault, now); calm && now-since >= span {
			return nil
		}
		if err := m.Err(); err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for commits to be live for %s: %w", span, context.Cause(ctx))
		}
	}
}

// AwaitLive waits until everything that was committed up to now is live.
func (m *Meter) AwaitLive(ctx context.Context) error {
	want := m.record.newest()
	for {
		changed := m.record.changed()
		if _, ok := m.Samples().live(want.Sequence); ok {
			return nil
		}
		if err := m.Err(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for commit %d to be live: %w", want.Sequence, context.Cause(ctx))
		}
	}
}

// commits commits every period until ctx ends or a commit fails.
func (m *Meter) commits(ctx context.Context) {
	ticker := time.NewTicker(m.opts.Period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := m.commit(ctx); err != nil {
			if ctx.Err() == nil {
				m.record.fail(err)
			}
			return
		}
	}
}

func (m *Meter) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, commitTimeout, errors.New("it takes too long"))
	defer cancel()
	sequence := m.record.newest().Sequence + 1
	text, err := yaml.Marshal(corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: m.opts.Namespace, Name: m.opts.Name},
		Data:       map[string]string{sequenceKey: strconv.FormatInt(sequence, 10)},
	})
	if err != nil {
		return fmt.Errorf("writing the stall meter's ConfigMap: %w", err)
	}
	begun := m.Now()
	if _, err := m.opts.Repo.Commit(ctx, fmt.Sprintf("Set the meter to %d", sequence), map[string][]byte{m.opts.Path: text}); err != nil {
		return fmt.Errorf("committing number %d of the stall meter: %w", sequence, err)
	}
	m.record.committed(Commit{Sequence: sequence, Begun: begun, At: m.Now()})
	return nil
}
