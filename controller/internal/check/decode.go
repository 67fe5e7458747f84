package check

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// decoded reads every object of a kind that Kubernetes itself has into its Go
// type, as the API server does: a field that the kind lacks, or a value of another
// type, is a finding. Objects of other kinds, and those that cannot be read, are
// not among the result.
func (r *run) decoded() map[*object]runtime.Object {
	out := map[*object]runtime.Object{}
	for _, obj := range r.objects.all {
		if !scheme.Scheme.Recognizes(obj.GroupVersionKind()) {
			continue
		}
		typed, mistakes := decode(obj.known())
		if names := unknownIn(obj, mistakes); len(names) > 0 {
			r.unknown(obj, ObjectInvalid, names, "whether the API server takes it")
			continue
		}
		for _, m := range mistakes {
			r.rejected(obj, m)
		}
		if typed != nil {
			out[obj] = typed
		}
	}
	return out
}

// mistake is what the API server would not take of an object.
type mistake struct {
	// field is a JSON pointer; empty where none is known.
	field, why string
}

// decode reads an object into the Go type of its kind. What cannot be read, or
// has numbers that no type bounds, is nil.
func decode(content map[string]any) (runtime.Object, []mistake) {
	text, err := (&unstructured.Unstructured{Object: content}).MarshalJSON()
	if err != nil {
		return nil, []mistake{{why: err.Error()}}
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true})
	typed, _, err := decoder.Decode(text, nil, nil)
	var mistakes []mistake
	if strict, is := runtime.AsStrictDecodingError(err); is {
		for _, one := range strict.Errors() {
			mistakes = append(mistakes, mistake{fieldOf(one), one.Error()})
		}
	} else if err != nil {
		return nil, []mistake{{why: plain(err)}}
	}
	if pdb, is := typed.(*policyv1.PodDisruptionBudget); is {
		if wrong := mistakeOf(pdb); wrong != nil {
			return nil, append(mistakes, *wrong)
		}
	}
	return typed, mistakes
}

// rejected reports that the API server would not take an object.
func (r *run) rejected(obj *object, m mistake) {
	read := everything
	if m.field != "" {
		read = below(m.field)
	}
	r.of(obj, read, Finding{
		Check: ObjectInvalid, Severity: v1alpha1.SeverityHigh,
		Message: fmt.Sprintf("the API server would reject this %s: %s", obj.GetKind(), m.why),
	}, m.field)
}

// fieldOf is the JSON pointer of the field that a mistake names in quotes; empty
// where it names none.
func fieldOf(mistake error) string {
	_, quoted, found := strings.Cut(mistake.Error(), `field "`)
	if !found {
		return ""
	}
	field, _, _ := strings.Cut(quoted, `"`)
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(field)
}

// goType is how encoding/json calls the Go field of a value of the wrong type.
var goType = regexp.MustCompile(`Go struct field \w+\.(\S+) of type \S+`)

// plain says what is wrong without the names of Go types.
func plain(err error) string {
	cause := err
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(cause) {
		cause = inner
	}
	return goType.ReplaceAllString(strings.TrimPrefix(cause.Error(), "json: "), "field $1")
}

// mistakeOf is what is wrong with the numbers of a PodDisruptionBudget, which no
// type bounds.
func mistakeOf(pdb *policyv1.PodDisruptionBudget) *mistake {
	if pdb.Spec.MinAvailable != nil && pdb.Spec.MaxUnavailable != nil {
		return &mistake{"/spec", "minAvailable and maxUnavailable cannot both be set"}
	}
	numbers := map[string]*intstr.IntOrString{"minAvailable": pdb.Spec.MinAvailable, "maxUnavailable": pdb.Spec.MaxUnavailable}
	for name, number := range numbers {
		if why := notPods(number); why != "" {
			return &mistake{"/spec/" + name, fmt.Sprintf("%s is %s, and must be %s", name, value(number.String()), why)}
		}
	}
	return nil
}

// notPods says what a number of pods must be that is none.
func notPods(n *intstr.IntOrString) string {
	switch {
	case n == nil:
	case n.Type == intstr.Int && n.IntVal < 0:
		return "at least 0"
	case n.Type == intstr.String && len(validation.IsValidPercent(n.StrVal)) > 0:
		return "a number without quotes, or a percentage"
	case n.Type == intstr.String:
		if percent, err := intstr.GetScaledValueFromIntOrPercent(n, 100, true); err != nil || percent > 100 {
			return "at most 100%"
		}
	}
	return ""
}
