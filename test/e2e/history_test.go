//go:build e2e

package e2e

import (
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// history has every version of the objects of one kind in a namespace, first those
// that there were. The API server sends each write, so a state that lasts for a moment
// is in it too.
type history struct {
	kind string

	mu       sync.Mutex
	versions []*unstructured.Unstructured
	ended    bool
}

// follow begins a history. It ends with the test.
func (s *suite) follow(t *testing.T, apiVersion, kind, namespace string) *history {
	t.Helper()
	c, err := client.NewWithWatch(s.cluster.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	events, err := c.Watch(t.Context(), list, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	h := &history{kind: kind}
	go h.write(events.ResultChan())
	return h
}

func (h *history) write(events <-chan watch.Event) {
	for event := range events {
		if object, ok := event.Object.(*unstructured.Unstructured); ok && (event.Type == watch.Added || event.Type == watch.Modified) {
			h.mu.Lock()
			h.versions = append(h.versions, object)
			h.mu.Unlock()
		}
	}
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
}

// read returns all versions so far, in the order of the writes.
func (h *history) read(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		t.Fatalf("the watch of every %s has ended, and with it what is known of them", h.kind)
	}
	return h.versions[:len(h.versions):len(h.versions)]
}

// latest is the newest version of an object; nil when there was none.
func (h *history) latest(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	for _, version := range h.read(t) {
		if version.GetName() == name {
			found = version
		}
	}
	return found
}
