package render

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// sharded are the installed controllers that can watch by a label.
func (o operator) sharded() []string {
	var out []string
	for _, component := range o.spec.Components {
		switch component {
		case "notification-controller":
		case "source-watcher":
			if o.atLeast("2.9") {
				out = append(out, component)
			}
		default:
			out = append(out, component)
		}
	}
	return out
}

// shard is the kustomization of one shard: the same controllers again, with the
// shard's name and label selector.
func (o operator) shard(name string) types.Kustomization {
	k := types.Kustomization{
		TypeMeta:          types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Namespace:         o.namespace,
		NameSuffix:        "-" + name,
		CommonAnnotations: map[string]string{"sharding.fluxcd.io/role": "shard"},
	}
	persistent := o.spec.Sharding.Storage == "persistent"
	l := &patchList{}
	l.patches = append(l.patches, types.Patch{
		Target: new(ofKind("(Namespace|CustomResourceDefinition|ClusterRole|ClusterRoleBinding|ServiceAccount|NetworkPolicy|ResourceQuota)", "")),
		Patch:  "apiVersion: v1\nkind: all\nmetadata:\n  name: all\n$patch: delete\n",
	})
	for _, component := range o.sharded() {
		k.Resources = append(k.Resources, "../"+component+".yaml")
		app := component + "-" + name
		ops := []op{
			{"replace", "/spec/selector/matchLabels/app", app},
			{"replace", "/spec/template/metadata/labels/app", app},
		}
		if strings.HasPrefix(component, "source-") {
			l.add(ofKind("Service", "("+component+")"), op{"replace", "/spec/selector/app", app})
			ops = append(ops, appendArg(o.advertised(app))...)
		}
		if component == "source-controller" && persistent {
			ops = append(
				ops,
				op{"replace", "/spec/template/spec/volumes/0", volume("persistent-data-"+name, component+"-"+name)},
				op{"replace", "/spec/template/spec/containers/0/volumeMounts/0", mount("persistent-data-" + name)},
			)
		}
		l.add(ofKind("Deployment", "("+component+")"), ops...)
	}
	if persistent {
		k.Resources = append(k.Resources, "pvc.yaml")
	}
	l.add(
		ofKind("Deployment", "("+strings.Join(o.sharded(), "|")+")"),
		appendArg(fmt.Sprintf("--watch-label-selector=%s=%s", o.spec.Sharding.Key, name))...,
	)
	k.Patches = l.patches
	return k
}
