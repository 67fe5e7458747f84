package informer_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/klog/v2"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	gadgets    = schema.GroupVersionResource{Group: "test.mainstay.dev", Version: "v1", Resource: "gadgets"}
)

// control is the control plane of this package's tests.
var control *cluster.Cluster

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	var err error
	control, err = cluster.Start(context.Background(), cluster.Options{Audit: true, Out: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = control.Stop()
	os.Exit(code)
}

// events records what a handler is told.
type events struct {
	mu      sync.Mutex
	objects []string
	served  int
}

// times is how often other resources were served than before.
func (e *events) times() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.served
}

func (e *events) ResourcesChanged() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.served++
}

func (e *events) StateChanged(schema.GroupVersionResource) {}

func (e *events) Replaced(schema.GroupVersionResource) {}

func (e *events) ObjectChanged(gvr schema.GroupVersionResource, old, obj *unstructured.Unstructured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	what, at := "changed", obj
	switch {
	case old == nil:
		what = "came"
	case obj == nil:
		what, at = "went", old
	}
	e.objects = append(e.objects, fmt.Sprintf("%s %s/%s %s", gvr.Resource, at.GetNamespace(), at.GetName(), what))
}

func (e *events) of(namespace string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var mine []string
	for _, line := range e.objects {
		// The control plane makes a ConfigMap of its own in every namespace.
		if strings.Contains(line, namespace+"/") && !strings.Contains(line, "kube-root-ca.crt") {
			mine = append(mine, strings.Replace(line, namespace+"/", "", 1))
		}
	}
	return mine
}

// startSet runs a Set as a user of its own.
func startSet(t *testing.T, user string) (*informer.Set, *events) {
	t.Helper()
	set := newSet(t, user)
	told := &events{}
	set.Handle(told)
	runs(t, set)
	eventually(t, "discovery", set.Discovered)
	return set, told
}

// newSet returns a Set of a user whose only rights are on ConfigMaps, Gadgets and
// definitions.
func newSet(t *testing.T, user string) *informer.Set {
	t.Helper()
	admin := kubernetes.NewForConfigOrDie(control.Config())
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"", "test.mainstay.dev", "apiextensions.k8s.io", "apiregistration.k8s.io"},
			Resources: []string{"configmaps", "gadgets", "customresourcedefinitions", "apiservices"},
			Verbs:     []string{"get", "list", "watch"},
		}},
	}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg, err := control.ConfigFor(user)
	if err != nil {
		t.Fatal(err)
	}
	return informer.New(informer.Clients{
		Dynamic: dynamic.NewForConfigOrDie(cfg), Metadata: metadata.NewForConfigOrDie(cfg), Discovery: discovery.NewDiscoveryClientForConfigOrDie(cfg),
	}, logr.Discard())
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-ticker.C:
		}
	}
}

func phaseIs(set *informer.Set, consumer string, gvr schema.GroupVersionResource, want informer.Phase) func() bool {
	return func() bool { return set.State(consumer, gvr).Phase == want }
}

func namespace(t *testing.T) string {
	t.Helper()
	ns, err := kubernetes.NewForConfigOrDie(control.Config()).CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "informer-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

func TestKeepsWhatIsReadAndTellsOfNothingElse(t *testing.T) {
	t.Parallel()
	set, told := startSet(t, "reader-of-fields")
	ns := namespace(t)
	maps := kubernetes.NewForConfigOrDie(control.Config()).CoreV1().ConfigMaps(ns)
	cm, err := maps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"note": "x"}},
		Data:       map[string]string{"read": "1", "ignored": "1"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	set.Apply("a", informer.Wants{configMaps: expr.KeepPaths([]string{"data", "read"})})
	eventually(t, "the first list", phaseIs(set, "a", configMaps, informer.Synced))
	obj := set.Get(configMaps, ns, "a")
	if obj == nil {
		t.Fatal("the object is not in the cache")
	}
	if diff := cmp.Diff(map[string]any{"read": "1"}, obj.Object["data"]); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if obj.GetAnnotations() != nil || obj.GetManagedFields() != nil || obj.GetUID() != cm.UID {
		t.Errorf("metadata %v: want the identity and nothing else", obj.Object["metadata"])
	}

	// A change of what nobody reads is no change.
	cm.Data["ignored"] = "2"
	if cm, err = maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	cm.Data["read"] = "2"
	if _, err = maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"configmaps a changed", "configmaps b came", "configmaps b went"}
	eventually(t, "the events", func() bool { return len(told.of(ns)) >= len(want) })
	if diff := cmp.Diff(want, told.of(ns)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A replica that lost its Lease judges for some more seconds, by what it has.
func TestWhatWasReadOutlivesTheSet(t *testing.T) {
	t.Parallel()
	set := newSet(t, "reader-that-ends")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- set.Start(ctx) }()
	eventually(t, "discovery", set.Discovered)
	set.Apply("a", informer.Wants{configMaps: expr.KeepPaths([]string{"data"})})
	eventually(t, "the first list", phaseIs(set, "a", configMaps, informer.Synced))
	before := len(set.List(configMaps, ""))
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := set.State("a", configMaps); got.Phase != informer.Synced {
		t.Errorf("%+v after the end", got)
	}
	if got := len(set.List(configMaps, "")); before == 0 || got < before {
		t.Errorf("%d objects after the end, %d before", got, before)
	}
}

func TestWiderWantKeepsTheOldAnswersUntilItIsSynced(t *testing.T) {
	t.Parallel()
	set, _ := startSet(t, "reader-of-more")
	ns := namespace(t)
	maps := kubernetes.NewForConfigOrDie(control.Config()).CoreV1().ConfigMaps(ns)
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"one": "1", "two": "2"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	set.Apply("first", informer.Wants{configMaps: expr.KeepPaths([]string{"data", "one"})})
	eventually(t, "the first list", phaseIs(set, "first", configMaps, informer.Synced))

	set.Apply("second", informer.Wants{configMaps: expr.KeepPaths([]string{"data", "two"})})
	if phase := set.State("second", configMaps).Phase; phase == informer.Synced {
		t.Error("synced for a consumer whose field is not in the cache yet")
	}
	if phase := set.State("first", configMaps).Phase; phase != informer.Synced {
		t.Errorf("%s for the consumer that had what it wants", phase)
	}
	if set.Get(configMaps, ns, "a") == nil {
		t.Error("the cache is empty while another field is being listed")
	}
	eventually(t, "the second list", phaseIs(set, "second", configMaps, informer.Synced))
	if diff := cmp.Diff(map[string]any{"one": "1", "two": "2"}, set.Get(configMaps, ns, "a").Object["data"]); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}

	// What is read less is not listed again; what nobody wants is gone.
	set.Apply("second", nil)
	set.Apply("first", nil)
	eventually(t, "the cache to be emptied", func() bool {
		return set.Get(configMaps, ns, "a") == nil && len(set.List(configMaps, "")) == 0
	})
	eventually(t, "every watch to end", func() bool { return openWatches(t, "reader-of-more", "configmaps") == 0 })
}

// openWatches counts the watches of a user that have begun and not ended.
func openWatches(t *testing.T, user, resource string) int {
	t.Helper()
	all, err := control.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for i := range all {
		e := &all[i]
		if e.User.Username != user || e.Verb != "watch" || e.ObjectRef == nil || e.ObjectRef.Resource != resource {
			continue
		}
		if e.Stage == auditv1.StageResponseStarted {
			open++
		}
		if e.Stage == auditv1.StageResponseComplete {
			open--
		}
	}
	return open
}

func TestKindThatComesAndGoes(t *testing.T) {
	t.Parallel()
	set, told := startSet(t, "reader-of-gadgets")
	set.Apply("a", informer.Wants{gadgets: expr.WholeObject()})
	if got := set.State("a", gadgets); got.Phase != informer.Absent || got.Message != "the API server does not serve gadgets.test.mainstay.dev in version v1" {
		t.Errorf("state %+v of a kind that is not served", got)
	}
	definition := t.TempDir() + "/crd.yaml"
	if err := os.WriteFile(definition, []byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.test.mainstay.dev}
spec:
  group: test.mainstay.dev
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := control.Kubectl(t.Context(), "apply", "-f", definition); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the kind", phaseIs(set, "a", gadgets, informer.Synced))
		if _, err := control.Kubectl(t.Context(), "delete", "-f", definition); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the kind to go", phaseIs(set, "a", gadgets, informer.Absent))
	}
	// One that comes back soon is no news: what the API server does not say for a moment
	// is not gone. It is when that lasts.
	served := func() bool {
		return slices.ContainsFunc(set.Resources(), func(r informer.Resource) bool { return r.GroupVersionResource == gadgets })
	}
	if !served() {
		t.Error("forgotten at once")
	}
	came := told.times()
	eventually(t, "the kind to be forgotten", func() bool { return !served() && told.times() > came })
}

func TestForbiddenKindNamesTheVerbAndStartsWhenGranted(t *testing.T) {
	t.Parallel()
	set, _ := startSet(t, "reader-of-secrets")
	set.Apply("a", informer.Wants{secrets: expr.KeepPaths([]string{"type"})})
	eventually(t, "the refusal", phaseIs(set, "a", secrets, informer.Forbidden))
	message := set.State("a", secrets).Message
	if want := " secrets: grant get, list and watch in a ClusterRole with the label mainstay.dev/aggregate-to-reader=true"; !strings.HasPrefix(message, "may not ") || !strings.HasSuffix(message, want) {
		t.Errorf("message %q, want it to end in %q", message, want)
	}
	roles := kubernetes.NewForConfigOrDie(control.Config()).RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), "reader-of-secrets", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	granted := role.DeepCopy()
	granted.Rules = append(granted.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "watch"}})
	if _, err = roles.Update(t.Context(), granted, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the right", phaseIs(set, "a", secrets, informer.Synced))
}

// runs has a set run until the test ends.
func runs(t *testing.T, set *informer.Set) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- set.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
