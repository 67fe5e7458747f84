package informer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/dynamic"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	fakemetadata "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
)

// listTakes is how long a list takes: many times as long as wishes are gathered.
const listTakes = 5 * time.Second

// slow is an API server whose lists take a while.
type slow struct {
	*fakedynamic.FakeDynamicClient

	mu               sync.Mutex
	begun, brokenOff int
	refuses          bool // to have anything watched
}

func (s *slow) Resource(gvr schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return &slowResource{NamespaceableResourceInterface: s.FakeDynamicClient.Resource(gvr), server: s}
}

type slowResource struct {
	dynamic.NamespaceableResourceInterface
	server *slow
}

func (r *slowResource) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	r.server.note(func(s *slow) { s.begun++ })
	select {
	case <-ctx.Done():
		r.server.note(func(s *slow) { s.brokenOff++ })
		return nil, ctx.Err()
	case <-time.After(listTakes):
	}
	return r.NamespaceableResourceInterface.List(ctx, opts)
}

func (r *slowResource) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	refuses := false
	r.server.note(func(s *slow) { refuses = s.refuses })
	if refuses {
		return nil, apierrors.NewForbidden(configMaps.GroupResource(), "", errors.New("no role"))
	}
	return r.NamespaceableResourceInterface.Watch(ctx, opts)
}

func (s *slow) note(what func(*slow)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(s)
}

// lists is how many lists were begun, and how many of them were broken off.
func (s *slow) lists() (begun, brokenOff int) {
	s.note(func(s *slow) { begun, brokenOff = s.begun, s.brokenOff })
	return begun, brokenOff
}

// startSlow runs a Set on a slow API server with one ConfigMap, all of whose data is "1". It
// is called in a bubble of synctest.
func startSlow(t *testing.T) (*informer.Set, *slow) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": "default", "name": "a"},
		"data":     map[string]any{"a": "1", "b": "1", "c": "1"},
	}}
	server := &slow{FakeDynamicClient: fakedynamic.NewSimpleDynamicClient(runtime.NewScheme(), object)}
	scheme := fakemetadata.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	served := &clienttesting.Fake{Resources: []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}},
	}}}}
	set := informer.New(informer.Clients{
		Dynamic: server, Metadata: fakemetadata.NewSimpleMetadataClient(scheme), Discovery: &fakediscovery.FakeDiscovery{Fake: served},
	}, logr.Discard())
	runs(t, set)
	synctest.Wait()
	if !set.Discovered() {
		t.Fatal("nothing is discovered")
	}
	return set, server
}

// data wants entries of a ConfigMap's data; without any it wants nothing.
func data(keys ...string) informer.Wants {
	if len(keys) == 0 {
		return nil
	}
	var paths [][]string
	for _, key := range keys {
		paths = append(paths, []string{"data", key})
	}
	return informer.Wants{configMaps: expr.KeepPaths(paths...)}
}

// keptOf is what the cache has of an entry.
func keptOf(set *informer.Set, key string) string {
	value, _, _ := unstructured.NestedString(set.Get(configMaps, "default", "a").Object, "data", key)
	return value
}

// phases are those of consumers, as they are now.
func phases(set *informer.Set, consumers ...string) map[string]informer.Phase {
	synctest.Wait()
	got := map[string]informer.Phase{}
	for _, consumer := range consumers {
		got[consumer] = set.State(consumer, configMaps).Phase
	}
	return got
}

// The rules of a cold start come one by one. Those that come while a kind is being listed
// share the next list of it.
func TestWishesDuringAListShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set, server := startSlow(t)
		for _, consumer := range []string{"a", "b", "c"} {
			set.Apply(consumer, data(consumer))
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(listTakes)
		if diff := cmp.Diff(map[string]informer.Phase{"a": informer.Synced, "b": informer.Syncing, "c": informer.Syncing}, phases(set, "a", "b", "c")); diff != "" {
			t.Errorf("after one list (-want +got):\n%s", diff)
		}
		time.Sleep(listTakes)
		if diff := cmp.Diff(map[string]informer.Phase{"a": informer.Synced, "b": informer.Synced, "c": informer.Synced}, phases(set, "a", "b", "c")); diff != "" {
			t.Errorf("after two lists (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"a": "1", "b": "1", "c": "1"}, set.Get(configMaps, "default", "a").Object["data"]); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
		if begun, brokenOff := server.lists(); begun != 2 || brokenOff != 0 {
			t.Errorf("%d lists, %d of them broken off, want 2 and none", begun, brokenOff)
		}
	})
}

// One who changes wishes all the time keeps nobody waiting, and the API server is not asked
// for list after list.
func TestAlternatingWishesHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const changes, every = 300, 150 * time.Millisecond
	tests := map[string]struct {
		alternating [2]informer.Wants
		// synced says that the kind is listed when it begins.
		synced bool
	}{
		"other fields, at a cold start":  {alternating: [2]informer.Wants{data("a"), data("b")}},
		"other fields":                   {alternating: [2]informer.Wants{data("a"), data("b")}, synced: true},
		"more fields, at a cold start":   {alternating: [2]informer.Wants{data("a"), data("a", "b")}},
		"more fields":                    {alternating: [2]informer.Wants{data("a"), data("a", "b")}, synced: true},
		"some and none, at a cold start": {alternating: [2]informer.Wants{data("a"), nil}},
		"some and none":                  {alternating: [2]informer.Wants{data("b"), nil}, synced: true},
		"whole objects, at a cold start": {alternating: [2]informer.Wants{data("b"), {configMaps: expr.WholeObject()}}},
		"whole objects and the least":    {alternating: [2]informer.Wants{{configMaps: expr.Mask{}}, {configMaps: expr.WholeObject()}}, synced: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				set, server := startSlow(t)
				if tt.synced {
					set.Apply("one", data("a"))
					time.Sleep(listTakes + time.Second)
				}
				var came time.Time
				synced := false
				for i := range changes {
					set.Apply("fickle", tt.alternating[i%2])
					if i == 10 {
						set.Apply("other", data("c"))
						came = time.Now()
					}
					time.Sleep(every)
					if came.IsZero() {
						continue
					}
					is := phases(set, "other")["other"] == informer.Synced
					switch {
					case synced && !is:
						t.Fatalf("not synced any more after %s", time.Since(came))
					case is && keptOf(set, "c") != "1":
						t.Fatal("synced without its field")
					case !is && time.Since(came) > 2*listTakes+2*time.Second:
						t.Fatalf("not synced after %s", time.Since(came))
					}
					synced = is
				}
				if begun, brokenOff := server.lists(); begun > int(changes*every/time.Second) {
					t.Errorf("%d lists, %d of them broken off, in %s", begun, brokenOff, changes*every)
				}
				set.Apply("fickle", tt.alternating[0])
				time.Sleep(2*listTakes + 2*time.Second)
				if diff := cmp.Diff(map[string]informer.Phase{"fickle": informer.Synced, "other": informer.Synced}, phases(set, "fickle", "other")); diff != "" {
					t.Errorf("in the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A field that is kept may be given up and wanted again while others are being listed without
// it. Who was told that it is there goes on reading it.
func TestWhatCanBeReadStaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set, server := startSlow(t)
		set.Apply("first", data("a", "b"))
		time.Sleep(listTakes + time.Second)
		set.Apply("first", data("a"))
		set.Apply("new", data("c"))
		time.Sleep(time.Second)
		for _, lasts := range []time.Duration{500 * time.Millisecond, 500 * time.Millisecond, listTakes + time.Second} {
			set.Apply("again", data("b"))
			for until := time.Now().Add(lasts); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
				if phase := phases(set, "again")["again"]; phase != informer.Synced {
					t.Fatalf("%s for one whose field was there", phase)
				}
			}
			set.Apply("again", nil)
			time.Sleep(500 * time.Millisecond)
		}
		if diff := cmp.Diff(map[string]informer.Phase{"first": informer.Synced, "new": informer.Synced}, phases(set, "first", "new")); diff != "" {
			t.Errorf("after the next list (-want +got):\n%s", diff)
		}
		if begun, brokenOff := server.lists(); begun != 3 || brokenOff != 1 {
			t.Errorf("%d lists, %d of them broken off, want 3 and 1", begun, brokenOff)
		}
	})
}

// What is refused is not asked for again because of other fields. Once it is granted they are
// listed.
func TestOtherFieldsWaitForARight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set, server := startSlow(t)
		server.note(func(s *slow) { s.refuses = true })
		set.Apply("a", data("a"))
		time.Sleep(listTakes + time.Second)
		set.Apply("b", data("b"))
		time.Sleep(listTakes)
		if diff := cmp.Diff(map[string]informer.Phase{"a": informer.Forbidden, "b": informer.Forbidden}, phases(set, "a", "b")); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
		server.note(func(s *slow) { s.refuses = false })
		time.Sleep(time.Minute) // the informer tries again after up to half of that
		if diff := cmp.Diff(map[string]informer.Phase{"a": informer.Synced, "b": informer.Synced}, phases(set, "a", "b")); diff != "" {
			t.Errorf("granted (-want +got):\n%s", diff)
		}
		if _, brokenOff := server.lists(); brokenOff != 0 {
			t.Errorf("%d lists were broken off", brokenOff)
		}
	})
}

// A list that nobody needs any more ends at once, and the next one waits a moment.
func TestListThatNobodyNeedsIsBrokenOff(t *testing.T) {
	t.Parallel()
	for name, synced := range map[string]bool{"the first": false, "of more fields": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				set, server := startSlow(t)
				before := 0
				if synced {
					set.Apply("a", data("a"))
					time.Sleep(listTakes + time.Second)
					before = 1
				}
				lists := func(after time.Duration, wantBegun, wantBrokenOff int) {
					t.Helper()
					time.Sleep(after)
					synctest.Wait()
					if begun, brokenOff := server.lists(); begun-before != wantBegun || brokenOff != wantBrokenOff {
						t.Errorf("%d lists, %d of them broken off, want %d and %d", begun-before, brokenOff, wantBegun, wantBrokenOff)
					}
				}
				set.Apply("b", data("b"))
				lists(time.Second, 1, 0)
				set.Apply("b", nil)
				lists(200*time.Millisecond, 1, 1)
				set.Apply("b", data("b"))
				lists(500*time.Millisecond, 1, 1)
				lists(time.Second, 2, 1)
				time.Sleep(listTakes)
				if phase := phases(set, "b")["b"]; phase != informer.Synced {
					t.Errorf("%s in the end", phase)
				}
			})
		})
	}
}
