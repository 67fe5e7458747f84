package rule

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Reference is a named list of objects that a rule refers to.
type Reference struct {
	// Name of the list: refs.<name>.
	Name string
	// GVK is the kind of the objects.
	GVK schema.GroupVersionKind
	// Namespaces that the objects are taken from, where the kind is
	// namespaced.
	Namespaces Namespaces
	// Selector of the objects; never nil.
	Selector labels.Selector
}

// Namespaces is a choice of namespaces: exactly one of Same, All and Names is
// set.
type Namespaces struct {
	// Same is the namespace of the evaluated object; nothing for an object
	// that is in none.
	Same bool
	// All namespaces.
	All bool
	// Names of namespaces.
	Names []string
}

// Include says whether an object in the given namespace is on the list that an
// object in evaluated sees. An object in no namespace always is.
func (n Namespaces) Include(namespace, evaluated string) bool {
	switch {
	case namespace == "" || n.All:
		return true
	case n.Same:
		return namespace == evaluated
	}
	return slices.Contains(n.Names, namespace)
}

// Refs gives the objects of a reference that an object in the given namespace
// sees. The rule asks for a list only when an expression selects it.
type Refs interface {
	List(reference Reference, namespace string) (expr.List, error)
}
