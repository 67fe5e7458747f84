package webhook

import (
	"fmt"
	"maps"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// requestRefs gives a rule its lists with the request laid over them: as they
// would be if it were admitted.
type requestRefs struct {
	active  *active
	request *rule.Request
	// made are the lists that other rules of this request saw.
	made map[listKey]expr.List
}

type listKey struct {
	source *source
	key    string
}

var _ rule.Refs = (*requestRefs)(nil)

// List implements rule.Refs.
func (r *requestRefs) List(wanted rule.Reference, namespace string) (expr.List, error) {
	ref, err := r.active.find(wanted.Name)
	if err != nil {
		return expr.List{}, err
	}
	key, ok := ref.Key(namespace)
	if !ok {
		return expr.List{}, nil
	}
	at := listKey{source: ref.source, key: key}
	if seen, ok := r.made[at]; ok {
		return seen, nil
	}
	seen, err := overlay(ref.source.get(key), &ref.Resolved, r.request, namespace)
	if err == nil {
		r.made[at] = seen
	}
	return seen, err
}

// effect is what a request does to an object of a list.
type effect int

const (
	none effect = iota
	// put: it is there with the content of the request.
	put
	// remove: it is not there any more.
	remove
	// scale and bind: one field of it is another one.
	scale
	bind
)

// effectOf is what becomes of the object if the request is admitted. A
// subresource that is not known here changes nothing that is on a list.
func effectOf(q *rule.Request) effect {
	pods := schema.GroupResource{Resource: "pods"}
	switch {
	case q.Subresource == "" && q.Operation == admissionregistrationv1.Delete:
		return remove
	case q.Subresource == "" && q.Object != nil && q.Operation != admissionregistrationv1.Connect:
		return put
	case q.Subresource == "scale" && q.Operation == admissionregistrationv1.Update:
		return scale
	case q.Subresource == "eviction" && q.Operation == admissionregistrationv1.Create && q.Resource.GroupResource() == pods:
		return remove
	case q.Subresource == "binding" && q.Operation == admissionregistrationv1.Create && q.Resource.GroupResource() == pods:
		return bind
	}
	return none
}

// overlay is a list as an object in evaluated sees it after the request.
func overlay(base *list, ref *rule.Resolved, q *rule.Request, evaluated string) (expr.List, error) {
	if ref.Resource.GroupResource() != q.Resource.GroupResource() {
		return base.list, nil
	}
	does := effectOf(q)
	namespace := q.ObjectNamespace()
	if does == none || !ref.Namespaces.Include(namespace, evaluated) {
		return base.list, nil
	}
	i, found := base.find(namespace, nameOf(q))
	if does == put {
		if q.Resource.Version != ref.Resource.Version {
			return expr.List{}, fmt.Errorf("the reference is to version %s and the request of version %s: name one apiVersion in both, the reference and spec.matchConstraints",
				ref.Resource.Version, q.Resource.Version)
		}
		if ref.Selector.Matches(rule.LabelsOf(q.Object)) {
			if found {
				return base.list.Replaced(i, q.Object), nil
			}
			return base.list.Inserted(i, q.Object), nil
		}
		does = remove
	}
	if !found {
		return base.list, nil
	}
	switch does {
	case remove:
		return base.list.Removed(i), nil
	case scale:
		return base.list.Replaced(i, withSpec(base.objects[i].Object, "replicas", replicasOf(q.Object))), nil
	case bind:
		return base.list.Replaced(i, withSpec(base.objects[i].Object, "nodeName", fieldOf(q.Object, "target", "name"))), nil
	case none, put:
	}
	return base.list, nil
}

// nameOf is the name of the object that the request is about; empty for one
// that the API server has yet to name.
func nameOf(q *rule.Request) string {
	if name := q.ObjectName(); name != "" {
		return name
	}
	name, _ := fieldOf(q.Object, "metadata", "name").(string)
	return name
}

func fieldOf(content map[string]any, outer, inner string) any {
	fields, _ := content[outer].(map[string]any)
	return fields[inner]
}

// replicasOf is what a Scale asks for: API servers leave a zero out of it.
func replicasOf(scale map[string]any) any {
	if replicas := fieldOf(scale, "spec", "replicas"); replicas != nil {
		return replicas
	}
	return int64(0)
}

// withSpec is an object with another value of one field of its spec; without
// one the field is not there.
func withSpec(content map[string]any, name string, value any) map[string]any {
	old, _ := content["spec"].(map[string]any)
	spec := make(map[string]any, len(old)+1)
	maps.Copy(spec, old)
	if delete(spec, name); value != nil {
		spec[name] = value
	}
	out := maps.Clone(content)
	out["spec"] = spec
	return out
}
