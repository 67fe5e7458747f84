package stall

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// lookEvery is how often the ConfigMap is listed beside the watch. It shows that a
	// watch without events has nothing to tell, and finds what a broken one does not.
	lookEvery = time.Second
	// lookTimeout bounds one list. An API server that takes longer is out of sight.
	lookTimeout = 2 * time.Second
	// retryEvery is the pause before a watch that broke is made again: it bounds by
	// how much the first sight of a cluster that is back comes late.
	retryEvery = 100 * time.Millisecond
	// overtaken is how much later than a list a watch may tell of the same change.
	overtaken = time.Second
)

var (
	errWatchEnded = errors.New("the watch ended")
	errWatchLate  = errors.New("the watch does not tell what a list has")
)

func (m *Meter) selector() metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", m.opts.Name).String()}
}

// look lists the ConfigMap, records what it says, and returns the version to watch from.
func (m *Meter) look(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	list, err := m.client.CoreV1().ConfigMaps(m.opts.Namespace).List(ctx, m.selector())
	if err != nil {
		return "", fmt.Errorf("listing ConfigMap %s/%s: %w", m.opts.Namespace, m.opts.Name, err)
	}
	sequence := int64(0)
	for i := range list.Items {
		sequence = sequenceOf(&list.Items[i])
	}
	m.record.saw(sequence, m.Now())
	return list.ResourceVersion, nil
}

// sequenceOf is the number in a ConfigMap; 0, which is older than any, when it has none.
func sequenceOf(cm *corev1.ConfigMap) int64 {
	n, err := strconv.ParseInt(cm.Data[sequenceKey], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// looks lists every second until ctx ends.
func (m *Meter) looks(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := m.look(ctx); err != nil && ctx.Err() == nil {
			m.record.lose()
		}
	}
}

// watches watches until ctx ends, and begins again whenever a watch breaks.
func (m *Meter) watches(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
		// Why it broke does not matter: what the cluster is like shows in looks.
		_ = m.watch(ctx)
		retry.Reset(retryEvery)
	}
}

// watch looks once and then watches until the watch breaks.
func (m *Meter) watch(ctx context.Context) error {
	version, err := m.look(ctx)
	if err != nil {
		return err
	}
	opts := m.selector()
	opts.ResourceVersion = version
	w, err := m.client.CoreV1().ConfigMaps(m.opts.Namespace).Watch(ctx, opts)
	if err != nil {
		return fmt.Errorf("watching ConfigMap %s/%s: %w", m.opts.Namespace, m.opts.Name, err)
	}
	defer w.Stop()
	return m.follow(ctx, w)
}

// follow records the events of a watch. It returns when the watch ends, or is behind
// what was found by listing.
func (m *Meter) follow(ctx context.Context, w watch.Interface) error {
	check := time.NewTicker(overtaken)
	defer check.Stop()
	told, missed := m.record.latest(), int64(0)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if missed > told {
				return errWatchLate
			}
			missed = m.record.latest()
		case event, open := <-w.ResultChan():
			cm, ok := event.Object.(*corev1.ConfigMap)
			if !open || !ok {
				return errWatchEnded
			}
			if event.Type == watch.Deleted {
				continue
			}
			told = max(told, sequenceOf(cm))
			m.record.saw(told, m.Now())
		}
	}
}
