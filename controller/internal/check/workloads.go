package check

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/flux"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// podSpec is the JSON pointer of the pod's spec.
const podSpec = "/spec/template/spec"

// workload is a Deployment or StatefulSet of the render.
type workload struct {
	*object
	deployment *appsv1.Deployment
	set        *appsv1.StatefulSet
	template   *corev1.PodTemplateSpec
	// replicas with the API's default. Where autoscaled, somebody else says.
	replicas   int32
	autoscaled bool
}

// workloads of the render, as far as they can be read.
func (r *run) workloads(typed map[*object]runtime.Object) []*workload {
	var out []*workload
	scaled := r.scaled()
	for _, obj := range r.objects.all {
		switch of := typed[obj].(type) {
		case *appsv1.Deployment:
			out = append(out, &workload{object: obj, deployment: of, template: &of.Spec.Template, replicas: ptr.Deref(of.Spec.Replicas, 1)})
		case *appsv1.StatefulSet:
			out = append(out, &workload{object: obj, set: of, template: &of.Spec.Template, replicas: ptr.Deref(of.Spec.Replicas, 1)})
		}
	}
	for _, w := range out {
		w.autoscaled = scaled[w.GetKind()+"/"+w.GetNamespace()+"/"+w.GetName()]
		r.spreads(w)
		r.probe(w)
	}
	return out
}

// scaled are the workloads that a HorizontalPodAutoscaler sets the replicas of.
func (r *run) scaled() map[string]bool {
	scaled := map[string]bool{}
	for _, obj := range r.objects.all {
		if obj.GetKind() != "HorizontalPodAutoscaler" {
			continue
		}
		spec, _ := obj.Object["spec"].(map[string]any)
		target, _ := spec["scaleTargetRef"].(map[string]any)
		scaled[fmt.Sprintf("%v/%s/%v", target["kind"], obj.GetNamespace(), target["name"])] = true
	}
	return scaled
}

// spreads finds a pair that must be unique.
func (r *run) spreads(w *workload) {
	type pair struct {
		key  string
		when corev1.UnsatisfiableConstraintAction
	}
	seen := map[pair]bool{}
	for _, c := range w.template.Spec.TopologySpreadConstraints {
		p := pair{c.TopologyKey, c.WhenUnsatisfiable}
		if !seen[p] {
			seen[p] = true
			continue
		}
		r.of(w.object, below(podSpec+"/topologySpreadConstraints"), Finding{
			Check: SpreadPairTwice, Severity: v1alpha1.SeverityCritical,
			Message: fmt.Sprintf("two topology spread constraints have the topologyKey %s and whenUnsatisfiable %s: the API server rejects a pod whose constraints have the same pair, so the %s cannot be applied; keep one, and say the other as a preferred pod anti-affinity",
				p.key, p.when, w.GetKind()),
		})
	}
}

// probe finds a readiness probe that does not ask the file server. It runs on
// the leader only, so a probe that asks something else calls a standby ready
// which answers 404 (fluxcd/source-controller#836).
func (r *run) probe(w *workload) {
	if p, _ := flux.ProfileOf(w.GetName(), w.GetLabels()); p != v1alpha1.ProfileSingleton || w.GetLabels()["app.kubernetes.io/part-of"] != "flux" {
		return
	}
	for i := range w.template.Spec.Containers {
		c := &w.template.Spec.Containers[i]
		if c.Name != "manager" || asksFileServer(c) {
			continue
		}
		r.of(w.object, readinessProbe, Finding{
			Check: FileServerProbe, Severity: v1alpha1.SeverityHigh,
			Message: "the readiness probe does not ask the file server (port http), which only the leader runs: a pod that does not serve artifacts would be ready, and what asks it gets 404; leave the probe as Flux ships it",
		})
	}
}

func readinessProbe(_ *object, change render.Change) bool {
	return strings.Contains(change.Field+"/", "/readinessProbe/")
}

// reportsLeadership is the first version whose /readyz says who leads.
const reportsLeadership = "1.10.0"

func asksFileServer(c *corev1.Container) bool {
	if c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet == nil {
		return false
	}
	get := c.ReadinessProbe.HTTPGet
	for _, port := range c.Ports {
		if port.Name == "http" && (get.Port.StrVal == port.Name || get.Port.IntVal == port.ContainerPort) {
			return true
		}
	}
	_, tag, tagged := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
	tag, _, _ = strings.Cut(tag, "@")
	v, err := version.ParseSemantic(tag)
	return get.Path == "/readyz" && tagged && err == nil && v.AtLeast(version.MustParseSemantic(reportsLeadership))
}

// disruptionBudgets of the render, as far as they can be read.
func (r *run) disruptionBudgets(typed map[*object]runtime.Object) []*policyv1.PodDisruptionBudget {
	var out []*policyv1.PodDisruptionBudget
	for _, obj := range r.objects.all {
		if pdb, ok := typed[obj].(*policyv1.PodDisruptionBudget); ok {
			out = append(out, pdb)
		}
	}
	return out
}
