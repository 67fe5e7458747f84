package webhook

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// sourceKey is what rules that share lists refer to.
type sourceKey struct {
	resource             schema.GroupVersionResource
	selector, namespaces string
	// only is the namespace of a Rule, which sees no other.
	only string
}

func keyOfSource(key rule.Key, r *rule.Resolved) sourceKey {
	k := sourceKey{resource: r.Resource, selector: r.Selector.String(), only: key.Namespace}
	switch {
	case !r.Namespaced:
	case r.Namespaces.Same:
		k.namespaces = "Same"
	case r.Namespaces.All:
		k.namespaces = "All"
	default:
		k.namespaces = strings.Join(r.Namespaces.Names, ",")
	}
	return k
}

// source has the lists of a reference: one for each namespace where an object
// sees its own, otherwise one, whose key is empty. Rules that refer to the same
// share it.
type source struct {
	rule.Resolved
	only  string
	byKey sync.Map // *list by namespace
}

// list is what an object sees of a reference, by namespace and name.
type list struct {
	objects []*unstructured.Unstructured
	list    expr.List
}

// keepSources makes the sources that rules need, and forgets others. e.mu is
// held.
func (e *Engine) keepSources(rules map[rule.Key]*state) {
	needed := map[sourceKey]*source{}
	for key, s := range rules {
		for one := s; one != nil; one = one.before {
			for i := range one.references {
				k := keyOfSource(key, &one.references[i])
				switch {
				case needed[k] != nil:
				case e.sources[k] != nil:
					needed[k] = e.sources[k]
				default:
					needed[k] = &source{Resolved: one.references[i], only: k.only}
				}
			}
		}
	}
	e.sources = needed
}

// keyOf is the key of the list that an object in a namespace is on.
func (s *source) keyOf(namespace string) string {
	key, _ := s.Key(namespace)
	return key
}

// lists says whether an object is on one of the lists.
func (s *source) lists(obj *unstructured.Unstructured) bool {
	if obj == nil || s.only != "" && obj.GetNamespace() != s.only {
		return false
	}
	return s.Namespaces.Include(obj.GetNamespace(), obj.GetNamespace()) && s.Selector.Matches(rule.LabelsOf(obj.Object))
}

// get is the list of a key; empty where there is none.
func (s *source) get(key string) *list {
	if found, ok := s.byKey.Load(key); ok {
		return found.(*list) //nolint:forcetypeassert // nothing else is in it
	}
	return &list{}
}

// refresh makes lists anew.
func (s *source) refresh(objects Objects, of *stale) {
	same := s.Namespaces.Same && s.Namespaced
	if !of.all {
		for key := range of.namespaces {
			s.put(key, objects.List(s.Resource, key))
		}
		return
	}
	if !same || s.only != "" {
		s.put(s.keyOf(s.only), objects.List(s.Resource, s.only))
		return
	}
	all := map[string][]*unstructured.Unstructured{}
	for _, obj := range objects.List(s.Resource, "") {
		all[obj.GetNamespace()] = append(all[obj.GetNamespace()], obj)
	}
	for key, objs := range all {
		s.put(key, objs)
	}
	s.byKey.Range(func(key, _ any) bool {
		if _, there := all[key.(string)]; !there {
			s.byKey.Delete(key)
		}
		return true
	})
}

// put makes the list of a key of those objects that belong to it.
func (s *source) put(key string, objs []*unstructured.Unstructured) {
	objs = s.Select(objs, key)
	if len(objs) == 0 {
		s.byKey.Delete(key)
		return
	}
	s.byKey.Store(key, &list{objects: objs, list: expr.NewList(rule.Contents(objs))})
}

// find is where an object is on the list, or where it would be.
func (l *list) find(namespace, name string) (int, bool) {
	return slices.BinarySearchFunc(l.objects, name, func(obj *unstructured.Unstructured, name string) int {
		return cmp.Or(cmp.Compare(obj.GetNamespace(), namespace), cmp.Compare(obj.GetName(), name))
	})
}
