package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/drill/record"
)

const (
	// lookEvery is how often the witness looks, and lookTimeout how long it waits for
	// an answer from a cluster that may have none.
	lookEvery   = 2 * time.Second
	lookTimeout = 5 * time.Second
)

// Where the controllers are.
const (
	fluxNamespace     = "flux-system"
	mainstayNamespace = "mainstay-system"
)

// delivery is the object that applies what the meter commits.
type delivery struct {
	apiVersion, kind, name string
}

// witness sees what the cluster says of itself while a fault is in force.
type witness struct {
	client     client.Client
	logs       kubernetes.Interface
	delivery   delivery
	controller string
	worker     string
	since      time.Time
	before     []corev1.Pod // pods of the controller at the fault
	placement  []record.Place

	// stalls says whether commits are stuck now. What the delivery says of itself while
	// they are live is worth nothing.
	stalls func() bool

	mu        sync.Mutex
	nodes     timeline
	delivered timeline
	crashes   map[types.UID]crash
	blind     int
	lastError error
	done      chan struct{}
	stop      context.CancelFunc
}

// crash is the end of the log of a container that ended.
type crash struct {
	restarts int32
	log      []string
}

// newWitness notes where everything is before the fault. Controller and worker are
// empty for a fault of the whole cluster.
func newWitness(ctx context.Context, c client.Client, logs kubernetes.Interface, d delivery, controller, worker string) (*witness, error) {
	w := &witness{client: c, logs: logs, delivery: d, controller: controller, worker: worker, crashes: map[types.UID]crash{}}
	var err error
	if w.before, err = w.pods(ctx); err != nil {
		return nil, err
	}
	w.placement, err = placement(ctx, c)
	return w, err
}

// watch looks every two seconds until finish. since is the moment of the fault.
func (w *witness) watch(ctx context.Context, since time.Time, stalls func() bool) {
	w.since, w.stalls = since, stalls
	w.nodes.since, w.delivered.since = since, since
	ctx, w.stop = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			w.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
}

func (w *witness) look(watching context.Context) {
	ctx, cancel := context.WithTimeout(watching, lookTimeout)
	defer cancel()
	err := w.lookAtNodes(ctx)
	if err == nil {
		err = w.lookAtDelivery(ctx)
	}
	if err == nil {
		err = w.lookAtCrashes(ctx)
	}
	// A look that finish cuts short is none.
	if err != nil && watching.Err() == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.blind++
		w.lastError = err
	}
}

func (w *witness) lookAtNodes(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := w.client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("listing the nodes: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range nodes.Items {
		w.nodes.add(nodes.Items[i].Name, nodeSays(&nodes.Items[i]), time.Now())
	}
	return nil
}

// nodeSays is the status of a Node's Ready condition, and whether it is cordoned.
func nodeSays(node *corev1.Node) string {
	said := "no Ready condition"
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			said = string(c.Status)
		}
	}
	if node.Spec.Unschedulable {
		said += ", cordoned"
	}
	return said
}

func (w *witness) lookAtDelivery(ctx context.Context) error {
	if !w.stalls() {
		return nil
	}
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(w.delivery.apiVersion)
	object.SetKind(w.delivery.kind)
	if err := w.client.Get(ctx, types.NamespacedName{Namespace: fluxNamespace, Name: w.delivery.name}, object); err != nil {
		return fmt.Errorf("reading %s %s: %w", w.delivery.kind, w.delivery.name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delivered.add(w.delivery.kind+" "+w.delivery.name, readySays(object), time.Now())
	return nil
}

// readySays is the Ready condition of a Flux object in one line of bounded length.
func readySays(object *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		c, ok := one.(map[string]any)
		if !ok || c["type"] != "Ready" {
			continue
		}
		message := []rune(strings.Join(strings.Fields(fmt.Sprint(c["message"])), " "))
		if len(message) > maxMessage {
			message = append(message[:maxMessage:maxMessage], '…')
		}
		return fmt.Sprintf("Ready=%v, %s", c["status"], string(message))
	}
	return "no Ready condition"
}

// maxMessage bounds a condition's message in a record, in characters.
const maxMessage = 160

// lookAtCrashes keeps the end of the log of each container of the controller that
// ended, while its worker can still be asked.
func (w *witness) lookAtCrashes(ctx context.Context) error {
	pods, err := w.pods(ctx)
	if err != nil {
		return err
	}
	for i := range pods {
		restarts := restartsOf(&pods[i]) - restartsBefore(w.before, pods[i].UID)
		w.mu.Lock()
		known := w.crashes[pods[i].UID].restarts
		w.mu.Unlock()
		if restarts <= known {
			continue
		}
		lines, err := formerLog(ctx, w.logs, &pods[i])
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.crashes[pods[i].UID] = crash{restarts: restarts, log: lines}
		w.mu.Unlock()
	}
	return nil
}

// pods of the controller that is watched.
func (w *witness) pods(ctx context.Context) ([]corev1.Pod, error) {
	if w.controller == "" {
		return nil, nil
	}
	var pods corev1.PodList
	if err := w.client.List(ctx, &pods, client.InNamespace(fluxNamespace), client.MatchingLabels{"app": w.controller}); err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", w.controller, err)
	}
	return pods.Items, nil
}

// finish ends the watching and returns what was seen. It must be called before the
// fault is healed.
func (w *witness) finish(ctx context.Context) record.Evidence {
	w.stop()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	e := record.Evidence{
		Worker:    w.worker,
		Nodes:     w.nodes.seen,
		Delivery:  w.delivered.seen,
		Placement: w.placement,
		Notes:     append(w.nodes.notes("nodes"), w.delivered.notes(w.delivery.kind)...),
	}
	if w.blind > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d looks of one every %s were in vain, the last one: %v", w.blind, lookEvery, w.lastError))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	pods, err := w.pods(ctx)
	if err != nil {
		e.Notes = append(e.Notes, err.Error())
	}
	for i := range pods {
		e.Pods = append(e.Pods, podRecord(&pods[i], w.before, w.crashes[pods[i].UID].log))
	}
	e.Moved = movedFrom(w.worker, w.before, pods)
	if e.Interventions, err = w.interventions(ctx); err != nil {
		e.Notes = append(e.Notes, err.Error())
	}
	return e
}

// interventions since the fault. A cluster without Mainstay has none.
func (w *witness) interventions(ctx context.Context) ([]record.Intervention, error) {
	var list v1alpha1.InterventionList
	if err := w.client.List(ctx, &list, client.InNamespace(mainstayNamespace)); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("listing the Interventions: %w", err)
	}
	var out []record.Intervention
	for i := range list.Items {
		iv := &list.Items[i]
		// The API server's time has whole seconds.
		at := iv.CreationTimestamp.Sub(w.since.Truncate(time.Second)).Seconds()
		if at < 0 {
			continue
		}
		out = append(out, record.Intervention{
			Action: string(iv.Spec.Action), Target: iv.Spec.Target.Name, Node: iv.Spec.Target.Node,
			Phase: string(iv.Status.Phase), Verdict: string(iv.Status.Verdict), Reason: iv.Spec.Reason, At: at,
		})
	}
	return out, nil
}
