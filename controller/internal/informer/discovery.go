package informer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

const (
	// discoveryPause is how long a burst of changed definitions is waited out
	// before the API server is asked again, so that installing a hundred CRDs
	// costs a handful of requests.
	discoveryPause = 500 * time.Millisecond

	// settlePause gathers a burst of changed wishes, so that a hundred rules on
	// one kind cost one list of it.
	settlePause = 100 * time.Millisecond

	// restPause is how long a kind is not listed after a list of it was broken off.
	restPause = time.Second

	// forgetAfter is how long a resource may be missing from what the API server says
	// before it counts as gone: one that has just started does not know of all
	// definitions yet, and what is enforced must not end for it. Whether objects can
	// be read is known meanwhile from reading them.
	forgetAfter = 5 * time.Second

	// rediscovery is the pause after a discovery that found everything: an upgrade of the API
	// server brings resources to groups that it has, and changes no definition.
	rediscovery = 10 * time.Minute

	// retryDiscovery is the pause after a failed discovery, and the first one after a
	// served group that did not answer. maxRetryDiscovery is the last of those: a group may
	// be down for good, and a change of its APIService has the API server asked at once.
	retryDiscovery    = 5 * time.Second
	maxRetryDiscovery = time.Minute
)

// definitions are the resources whose changes say that the API server serves
// other resources than before.
func definitions() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
	}
}

// Refresh asks the API server again what it serves.
func (s *Set) Refresh() {
	select {
	case s.refresh <- struct{}{}:
	default: // one is under way already
	}
}

// followDefinitions refreshes whenever a definition changes. Metadata is
// enough: a definition's status changes its resourceVersion too.
func (s *Set) followDefinitions(ctx context.Context) error {
	factory := metadatainformer.NewSharedInformerFactory(s.clients.Metadata, 0)
	refresh := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { s.Refresh() },
		UpdateFunc: func(any, any) { s.Refresh() },
		DeleteFunc: func(any) { s.Refresh() },
	}
	for _, gvr := range definitions() {
		informer := factory.ForResource(gvr).Informer()
		if err := informer.SetTransform(identityOnly); err != nil {
			return fmt.Errorf("follow %s: %w", gvr.Resource, err)
		}
		if _, err := informer.AddEventHandler(refresh); err != nil {
			return fmt.Errorf("follow %s: %w", gvr.Resource, err)
		}
	}
	factory.Start(ctx.Done())
	return nil
}

// identityOnly drops all that nobody reads of a definition.
func identityOnly(item any) (any, error) {
	if obj, ok := item.(*metav1.PartialObjectMetadata); ok {
		obj.ObjectMeta = metav1.ObjectMeta{Name: obj.Name, UID: obj.UID, ResourceVersion: obj.ResourceVersion}
	}
	return item, nil
}

// discover reads what the API server serves and settles the informers. Groups
// that do not answer (an aggregated API server that is down) keep the
// resources that were known of them: an outage is not an uninstallation. missed and partial
// are why not all is known: what was served is missing, and groups did not answer.
func (s *Set) discover(_ context.Context) (missed, partial bool, err error) {
	groups, lists, err := s.clients.Discovery.ServerGroupsAndResources()
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return false, false, fmt.Errorf("discover resources: %w", err)
	}

	preferred := map[schema.GroupVersion]bool{}
	for _, group := range groups {
		if gv, err := schema.ParseGroupVersion(group.PreferredVersion.GroupVersion); err == nil {
			preferred[gv] = true
		}
	}
	resources, paths := map[schema.GroupVersionResource]Resource{}, map[schema.GroupVersionResource]Resource{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			gvr := gv.WithResource(r.Name)
			paths[gvr] = Resource{GroupVersionResource: gvr, Kind: r.Kind, Namespaced: r.Namespaced, Preferred: preferred[gv]}
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
				resources[gvr] = paths[gvr]
			}
		}
	}

	s.mu.Lock()
	missed = s.remember(resources, paths, failed, time.Now())
	complete, down := !missed && !partial, sets.KeySet(failed)
	same := s.resources != nil && maps.Equal(resources, s.resources) && maps.Equal(paths, s.paths) && complete == s.complete && down.Equal(s.down)
	s.resources, s.paths, s.complete, s.down = resources, paths, complete, down
	changed := s.settle()
	s.mu.Unlock()

	s.notifyStates(changed)
	if !same {
		for _, h := range s.listeners() {
			h.ResourcesChanged()
		}
	}
	return missed, partial, nil
}

// pauseAfter is how long to wait until the API server is asked again, after last before this
// answer; 0 where all is known.
func pauseAfter(last time.Duration, missed, partial bool, err error) time.Duration {
	switch {
	case missed || err != nil:
		return retryDiscovery
	case partial:
		return min(max(2*last, retryDiscovery), maxRetryDiscovery)
	}
	return 0
}

// remember adds what is known of groups that did not answer, and of what has not been
// missing for long; then it returns true. s.mu is held.
func (s *Set) remember(resources, paths map[schema.GroupVersionResource]Resource, failed map[schema.GroupVersion]error, now time.Time) (missed bool) {
	missing := map[schema.GroupVersionResource]time.Time{}
	for gvr, r := range s.paths {
		if _, there := paths[gvr]; there {
			continue
		}
		_, down := failed[gvr.GroupVersion()]
		if !down {
			since, known := s.missing[gvr]
			if !known {
				since = now
			}
			if now.Sub(since) >= forgetAfter {
				continue
			}
			missing[gvr], missed = since, true
		}
		paths[gvr] = r
		if _, listed := s.resources[gvr]; listed {
			resources[gvr] = r
		}
	}
	s.missing = missing
	return missed
}
