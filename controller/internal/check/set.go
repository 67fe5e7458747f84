package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	pack "github.com/mainstay-dev/mainstay/manifests/rules"
)

// docsAnnotation of a rule is the address of the page about it.
const docsAnnotation = "mainstay.dev/docs"

// maxRuleFile is how many bytes a file of rules may have.
const maxRuleFile = 4 << 20

// Set is rules and Lifelines to judge by.
type Set struct {
	Rules     []Rule
	Lifelines []Lifeline
}

// Rule is a ClusterRule or a Rule as it was found.
type Rule struct {
	key    rule.Key
	spec   v1alpha1.RuleSpec
	docs   string
	source string
	// origin in the render; without a path where it is not from there.
	origin render.Origin
}

// Lifeline as it was found.
type Lifeline struct {
	*v1alpha1.Lifeline
	source string
	// own is true where the render itself has it.
	own bool
}

// Pack is the rule pack that this program was built with.
func Pack() (Set, error) {
	content, err := pack.Files.ReadFile("kustomization.yaml")
	if err != nil {
		return Set{}, fmt.Errorf("read the rule pack: %w", err)
	}
	var listed struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(content, &listed); err != nil {
		return Set{}, fmt.Errorf("read the rule pack: %w", err)
	}
	var set Set
	for _, name := range listed.Resources {
		if err := set.read(pack.Files, name, "the rule pack's "+name); err != nil {
			return Set{}, err
		}
	}
	return set, nil
}

// FromDir reads the rules and Lifelines of a file, or of the YAML files of a
// folder and those below. Other kinds are passed over; a folder without any is
// an error.
func FromDir(dir string) (Set, error) {
	return FromCopy(dir, dir)
}

// FromCopy reads them from a copy of a file or folder, and calls it by its name.
func FromCopy(dir, name string) (Set, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Set{}, fmt.Errorf("read the rules: %w", err)
	}
	var set Set
	if info.IsDir() {
		err = set.readAll(dir, name)
	} else {
		err = set.read(os.DirFS(filepath.Dir(dir)), filepath.Base(dir), name)
	}
	if err != nil {
		return Set{}, err
	}
	if len(set.Rules)+len(set.Lifelines) == 0 {
		return Set{}, fmt.Errorf("read the rules: %s holds no ClusterRule, Rule or Lifeline", name)
	}
	return set, nil
}

// readAll adds what the YAML files of a folder, which is called name, and those below
// hold. A symlink out of the folder is not followed.
func (s *Set) readAll(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("read the rules: %w", err)
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(file)) {
			return err
		}
		return s.read(root.FS(), file, filepath.Join(name, file))
	})
}

// read adds what a file holds.
func (s *Set) read(files fs.FS, name, source string) error {
	content, err := render.ReadYAML(files, name, maxRuleFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", source, err)
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var obj unstructured.Unstructured
		switch err := decoder.Decode(&obj.Object); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", source, err)
		case obj.Object == nil:
			continue
		}
		if err := s.add(&obj, source); err != nil {
			return fmt.Errorf("read %s: %w", source, err)
		}
	}
}

// add takes an object, or those of a List.
func (s *Set) add(obj *unstructured.Unstructured, source string) error {
	if obj.IsList() && strings.HasSuffix(obj.GetKind(), "List") {
		list, err := obj.ToList()
		if err != nil {
			return fmt.Errorf("%s: %w", obj.GetKind(), err)
		}
		for i := range list.Items {
			if err := s.add(&list.Items[i], source); err != nil {
				return err
			}
		}
		return nil
	}
	if !ours(obj) {
		return nil
	}
	if err := s.take(obj, source); err != nil {
		return fmt.Errorf("%s %s: %w", obj.GetKind(), obj.GetName(), err)
	}
	return nil
}

// ours says whether an object is of a kind that a Set holds.
func ours(obj *unstructured.Unstructured) bool {
	return strings.HasPrefix(obj.GetAPIVersion(), v1alpha1.GroupVersion.Group+"/") &&
		slices.Contains([]string{rule.KindClusterRule, rule.KindRule, kindLifeline}, obj.GetKind())
}

const kindLifeline = "Lifeline"

// take adds an object. A field that its kind does not have is an error, and so is a
// value that is none of those that its CustomResourceDefinition lists.
func (s *Set) take(obj *unstructured.Unstructured, source string) error {
	if obj.GetKind() == kindLifeline {
		lifeline := &v1alpha1.Lifeline{}
		if err := strictly(obj, lifeline); err != nil {
			return err
		}
		s.Lifelines = append(s.Lifelines, Lifeline{Lifeline: lifeline, source: source})
		return nil
	}
	// The kinds have the same fields.
	var typed v1alpha1.ClusterRule
	if err := strictly(obj, &typed); err != nil {
		return err
	}
	if err := listed(&typed.Spec); err != nil {
		return err
	}
	key := rule.Key{Kind: obj.GetKind(), Name: obj.GetName()}
	if key.Kind == rule.KindRule {
		key.Namespace = obj.GetNamespace()
	}
	s.Rules = append(s.Rules, Rule{key: key, spec: typed.Spec, docs: obj.GetAnnotations()[docsAnnotation], source: source})
	return nil
}

func strictly(obj *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, into, true)
}

// listed is an error where a field of a rule has another value than those that its
// CustomResourceDefinition lists: such a rule never comes to be in a cluster.
func listed(spec *v1alpha1.RuleSpec) error {
	path := field.NewPath("spec")
	var wrong field.ErrorList
	if spec.Severity != "" {
		wrong = append(wrong, oneOf(path.Child("severity"), spec.Severity, Severities())...)
	}
	for i, mode := range spec.Modes {
		wrong = append(wrong, oneOf(path.Child("modes").Index(i), mode, []v1alpha1.Mode{v1alpha1.ModeAdmission, v1alpha1.ModeAudit})...)
	}
	for i, action := range spec.ValidationActions {
		wrong = append(wrong, oneOf(path.Child("validationActions").Index(i), action,
			[]admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny, admissionregistrationv1.Warn, admissionregistrationv1.Audit})...)
	}
	if spec.FailurePolicy != nil {
		wrong = append(wrong, oneOf(path.Child("failurePolicy"), *spec.FailurePolicy,
			[]admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore})...)
	}
	return wrong.ToAggregate()
}

func oneOf[T ~string](path *field.Path, is T, allowed []T) field.ErrorList {
	if slices.Contains(allowed, is) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, is, allowed)}
}

// found are the rules and Lifelines to judge a render by: its own, and those of
// the options that it has none of the same name of.
func (r *run) found() Set {
	var set Set
	have := map[string]bool{}
	for _, obj := range r.objects.all {
		if !ours(obj.Unstructured) {
			continue
		}
		before := len(set.Rules)
		if err := set.take(obj.Unstructured, at(obj.origin)); err != nil {
			r.of(obj, everything, Finding{Check: RuleInvalid, Severity: v1alpha1.SeverityHigh, Message: "the cluster would reject it: " + err.Error()})
		}
		for i := before; i < len(set.Rules); i++ {
			set.Rules[i].origin = obj.origin
		}
		namespace := obj.GetNamespace()
		if obj.GetKind() == rule.KindClusterRule {
			// A kustomization gives one to kinds that it does not know.
			namespace = ""
		}
		have[obj.GetKind()+"/"+namespace+"/"+obj.GetName()] = true
	}
	for i := range set.Lifelines {
		set.Lifelines[i].own = true
	}
	for _, given := range r.checker.opts.Rules.Rules {
		if !have[given.key.Kind+"/"+given.key.Namespace+"/"+given.key.Name] {
			set.Rules = append(set.Rules, given)
		}
	}
	for _, given := range r.checker.opts.Rules.Lifelines {
		if !have[kindLifeline+"/"+given.Namespace+"/"+given.Name] {
			set.Lifelines = append(set.Lifelines, given)
		}
	}
	r.report.Summary.Rules, r.report.Summary.Lifelines = len(set.Rules), len(set.Lifelines)
	return set
}

// at is the place of an origin as "path:line".
func at(origin render.Origin) string {
	return fmt.Sprintf("%s:%d", origin.Path, origin.Line)
}
