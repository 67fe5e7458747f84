package check

import (
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// mixes judges the Kustomizations of Flux in each render: Flux applies all of one
// or nothing, and nothing of what depends on one that failed. So a rejected object
// must not keep what mends a cluster from being applied.
func mixes(runs []*run) []Finding {
	var findings []Finding
	for _, r := range runs {
		again := r.again()
		all, own := r.kustomizations()
		all = slices.DeleteFunc(all, func(k *fluxKustomization) bool { return !own[k.Source] })
		byName := make(map[string]*fluxKustomization, len(all))
		for _, k := range all {
			k.read(runs)
			byName[k.name()] = k
		}
		for _, k := range all {
			again.mixes(k, byName)
		}
		findings = append(findings, again.report.Findings...)
	}
	return findings
}

// mixes judges one Kustomization and those that it depends on.
func (r *run) mixes(k *fluxKustomization, all map[string]*fluxKustomization) {
	if len(k.recovery) == 0 {
		return
	}
	if len(k.guarded) > 0 {
		r.of(k.object, below("/spec/path", "/spec/targetNamespace"), Finding{
			Check: KustomizationMixes, Severity: v1alpha1.SeverityHigh,
			Message: fmt.Sprintf("Kustomization %s applies what recovery takes (%s) and what rules guard (%s): Flux applies nothing of it while one object is rejected; move one of the two to a Kustomization of its own",
				k.name(), some(k.recovery), some(k.guarded)),
		})
	}
	type step struct {
		name, chain string
	}
	seen := map[string]bool{k.name(): true}
	for queue := []step{{k.name(), k.name()}}; len(queue) > 0; queue = queue[1:] {
		for _, name := range all[queue[0].name].DependsOn {
			on := all[name]
			if on == nil || seen[name] {
				continue
			}
			seen[name] = true
			chain := queue[0].chain + " → " + name
			queue = append(queue, step{name, chain})
			if len(on.guarded) > 0 {
				r.of(k.object, below("/spec/dependsOn"), Finding{
					Check: KustomizationMixes, Severity: v1alpha1.SeverityHigh,
					Message: fmt.Sprintf("Kustomization %s applies what recovery takes (%s) and depends on one that applies what rules guard (%s): %s. Flux applies nothing of the first while an object of the last is rejected; let what mends the cluster depend on nothing guarded",
						k.name(), some(k.recovery), some(on.guarded), chain),
				}, name)
			}
		}
	}
}
