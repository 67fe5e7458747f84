package check

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
)

// lifelines judges what the loss of one worker would stop.
func (r *run) lifelines(all []Lifeline, work []*workload) {
	for i := range all {
		given := &all[i]
		if r.checker.opts.Workers < 2 {
			r.note(Note{Check: LifelineSurvives, Object: given.name(), Message: "with one worker there is nowhere else, so the Lifeline is not judged"})
			continue
		}
		keys := given.Spec.TopologyKeys
		if len(keys) == 0 {
			keys = []string{corev1.LabelHostname}
		}
		for _, key := range keys {
			r.lifeline(given, work, key)
		}
	}
}

func (l *Lifeline) name() string {
	return l.Namespace + "/" + l.Name
}

// lifeline judges a Lifeline by one topology key.
func (r *run) lifeline(given *Lifeline, work []*workload, key string) {
	one := given.DeepCopy()
	one.Spec.TopologyKeys = []string{key}
	s := lifeline.Snapshot{Lifeline: one, PDBs: r.pdbs, Now: r.checker.opts.Now}
	byName := map[string]*workload{}
	for _, w := range work {
		if w.GetNamespace() == given.Namespace {
			byName[w.GetKind()+"/"+w.GetName()] = w
		}
	}
	assume(&s, work, key, r.checker.opts.Workers)
	verdict := lifeline.Judge(s)
	switch verdict.Reason {
	case v1alpha1.ReasonNoMembers:
		if !given.own {
			return
		}
		r.note(Note{Check: LifelineSurvives, Object: given.name(), Message: "nothing of what was rendered belongs to this Lifeline, so it is not judged"})
		return
	case v1alpha1.ReasonInvalidSpec:
		r.note(Note{Check: LifelineSurvives, Object: given.name(), Message: "the Lifeline is not judged: " + verdict.Message})
		return
	}
	var stopped []string
	for _, d := range verdict.Domains {
		stopped = append(stopped, d.Stops...)
	}
	for _, m := range verdict.Members {
		w := byName[m.Kind+"/"+m.Name]
		if w == nil || w.autoscaled && m.Desired < 2 {
			continue
		}
		if why, read := weakness(w, m, slices.Contains(stopped, m.Name)); why != "" {
			r.add(Finding{
				Check: LifelineSurvives, Severity: v1alpha1.SeverityHigh, Object: w.id(),
				Path: w.origin.Path, Line: w.origin.Line, Instance: w.origin.Instance,
				SetBy: r.causes.of(w.object, read),
				Message: fmt.Sprintf("Lifeline %s (%s) does not survive: %s, so with %d workers the loss of one %s stops it",
					given.name(), given.source, why, r.checker.opts.Workers, domainOf(key)),
			}, w.id(), given.name(), key)
		}
	}
}

func domainOf(key string) string {
	if key == corev1.LabelHostname {
		return "worker"
	}
	return "domain of " + key
}

// weakness says why a member would be stopped, and what that was read from;
// empty when it would not.
func weakness(w *workload, m v1alpha1.Member, stopped bool) (string, reads) {
	of := fmt.Sprintf("%s %s (%s)", m.Kind, m.Name, m.Profile)
	switch {
	case m.Desired == 0:
		return of + " is scaled to zero", below("/spec/replicas")
	case stopped && w.template.Spec.NodeName != "":
		return of + " names the one worker that it runs on", below(podSpec + "/nodeName")
	case stopped && m.Profile == v1alpha1.ProfileSingleton:
		return of + " has storage that may not follow it to another worker", below(podSpec+"/volumes", "/spec/volumeClaimTemplates")
	case stopped && m.Desired == 1:
		return of + " asks for one replica", below("/spec/replicas")
	case stopped:
		return fmt.Sprintf("nothing keeps the %d replicas of %s apart, and all of them may be on one worker", m.Desired, of),
			below(podSpec+"/affinity", podSpec+"/topologySpreadConstraints")
	case m.Profile == v1alpha1.ProfileSingleton && staysForEver(w):
		return of + " tolerates an unreachable worker for ever and is never moved off it", below(podSpec + "/tolerations")
	}
	return "", nil
}

// staysForEver says whether a pod tolerates without end that its node is gone.
func staysForEver(w *workload) bool {
	lost := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}
	return slices.ContainsFunc(w.template.Spec.Tolerations, func(t corev1.Toleration) bool {
		return t.TolerationSeconds == nil &&
			(t.Key == lost.Key || t.Key == "") && (t.Effect == lost.Effect || t.Effect == "") &&
			(t.Operator == corev1.TolerationOpExists || t.Key != "" && t.Value == lost.Value)
	})
}
