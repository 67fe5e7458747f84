package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// corpusGroup is the API group of Thing, whose spec may have any fields.
const corpusGroup = "corpus.example.com"

// corpusRule is one document below testdata/corpus: a rule, and what it says of
// objects. A ClusterRule is confined to the namespace of the document by its
// namespaceSelector, or to objects of the document by a label.
type corpusRule struct {
	// Rule is its name, and with "corpus-" before it its namespace's.
	Rule string `json:"rule"`
	// Kind is ClusterRule, or Rule.
	Kind string `json:"kind"`
	// Namespace is another one than the document's own.
	Namespace string `json:"namespace"`
	// NamespaceLabels of the document's own namespace.
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	// ByLabel confines the rule by an objectSelector.
	ByLabel bool `json:"byLabel"`
	// Why not every case is on every plane, or differs between them.
	Why string `json:"why"`
	// ServerOnly leaves out the audit and the command line.
	ServerOnly bool `json:"serverOnly"`
	// Webhook says that the webhook judges the requests, and Given are what is
	// there for the rule to refer to.
	Webhook bool             `json:"webhook"`
	Given   []map[string]any `json:"given"`
	// Invalid is what is said of a spec that neither compiles nor is taken by
	// the API server. There are no cases then.
	Invalid string `json:"invalid"`
	// Spec has modes Admission and Audit and matches Things, unless it says so.
	Spec v1alpha1.RuleSpec `json:"spec"`
	// Cases, of which one at least is denied.
	Cases []*corpusCase `json:"cases"`
}

// corpusCase is one request, or one object in the audit and the command line.
type corpusCase struct {
	Case string `json:"case"`
	// Operation is CREATE, UPDATE, DELETE, or UPDATE of the subresource scale.
	Operation string `json:"operation"`
	Scale     *int32 `json:"scale"`
	// Evict has the old object, a Pod, evicted, and Bind binds it to a node.
	Evict bool   `json:"evict"`
	Bind  string `json:"bind"`
	// User and Groups who asks, otherwise somebody who may do everything.
	User   string   `json:"user"`
	Groups []string `json:"groups"`
	// Object, in which kind, name and namespace have defaults; Old is what is
	// there before.
	Object map[string]any `json:"object"`
	Old    map[string]any `json:"old"`
	// Want is the verdict.
	Want verdict `json:"want"`
	// Server is the verdict of the API server where it is another one.
	Server verdict `json:"server"`
	// Message is all that is said of a denial, or a part of what is said of an
	// error; ServerMessage that of the API server where it is another one.
	Message       string `json:"message"`
	ServerMessage string `json:"serverMessage"`
	// Reason of a denial.
	Reason metav1.StatusReason `json:"reason"`
	// ServerOnly leaves out the audit and the command line, Audited the
	// command line alone; Why says why.
	ServerOnly bool   `json:"serverOnly"`
	Audited    bool   `json:"audited"`
	Why        string `json:"why"`
}

// verdict of a plane. An API server knows no "unmatched" and no "skip": both
// are allowed. It knows no "error" either. That is denied with the
// failurePolicy Fail, so that serverVerdict says "error" for a denial which is
// not one of the rule's own messages, and allowed with Ignore.
type verdict string

const (
	allowed   verdict = "allow"
	unmatched verdict = "unmatched"
	skipped   verdict = "skip"
	denies    verdict = "deny"
	erroneous verdict = "error"
)

// onServer is what an API server makes of a verdict.
func (v verdict) onServer(spec *v1alpha1.RuleSpec) verdict {
	ignored := spec.FailurePolicy != nil && *spec.FailurePolicy == admissionregistrationv1.Ignore
	switch {
	case v == denies, v == erroneous && !ignored:
		return v
	}
	return allowed
}

// answer of a plane.
type answer struct {
	verdict verdict
	message string
	reason  metav1.StatusReason
	// partly says that other validations could not be evaluated.
	partly bool
}

func (d *corpusRule) key() rule.Key {
	if d.Kind == rule.KindRule {
		return rule.Key{Kind: d.Kind, Namespace: d.Namespace, Name: d.Rule}
	}
	return rule.Key{Kind: rule.KindClusterRule, Name: d.Rule}
}

// complete fills in what a document leaves out.
func (d *corpusRule) complete() {
	if d.Namespace == "" {
		d.Namespace = "corpus-" + d.Rule
	}
	spec := &d.Spec
	if len(spec.Modes) == 0 {
		spec.Modes = []v1alpha1.Mode{v1alpha1.ModeAdmission, v1alpha1.ModeAudit}
	}
	constraints := &spec.MatchConstraints
	if len(constraints.ResourceRules) == 0 {
		constraints.ResourceRules = clusterRule().Match(corpusGroup, "v1", "things").Obj().Spec.MatchConstraints.ResourceRules
	}
	switch {
	case d.ByLabel:
		constraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"corpus": d.Rule}}
	case d.key().Kind == rule.KindClusterRule:
		if constraints.NamespaceSelector == nil {
			constraints.NamespaceSelector = &metav1.LabelSelector{}
		}
		constraints.NamespaceSelector.MatchExpressions = append(constraints.NamespaceSelector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: []string{d.Namespace}})
	}
	for _, given := range d.Given {
		if obj := (&unstructured.Unstructured{Object: given}); obj.GetNamespace() == "" {
			obj.SetNamespace(d.Namespace)
		}
	}
	for _, tc := range d.Cases {
		tc.Object, tc.Old = d.object(tc, tc.Object), d.object(tc, tc.Old)
		if tc.Operation == "" {
			tc.Operation = "CREATE"
		}
		if tc.Server == "" {
			tc.Server = tc.Want.onServer(spec)
		}
		if tc.ServerMessage == "" && tc.Server == tc.Want {
			tc.ServerMessage = tc.Message
		}
		if tc.Reason == "" && (tc.Want == denies || tc.Server == denies) {
			tc.Reason = metav1.StatusReasonInvalid
		}
		tc.ServerOnly = tc.ServerOnly || d.ServerOnly
	}
}

// object is one that a case gives, with its defaults.
func (d *corpusRule) object(tc *corpusCase, given map[string]any) map[string]any {
	if given == nil {
		return nil
	}
	obj := &unstructured.Unstructured{Object: given}
	if obj.GetKind() == "" {
		obj.SetAPIVersion(corpusGroup + "/v1")
		obj.SetKind("Thing")
	}
	if obj.GetName() == "" && obj.GetGenerateName() == "" {
		obj.SetName(strings.ReplaceAll(strings.ToLower(tc.Case), " ", "-"))
	}
	if obj.GetNamespace() == "" && !d.ByLabel {
		obj.SetNamespace(d.Namespace)
	}
	if labels := obj.GetLabels(); d.ByLabel && labels["corpus"] == "" {
		obj.SetLabels(map[string]string{"corpus": d.Rule})
	}
	return obj.Object
}

// check says what is wrong with a document.
func (d *corpusRule) check() error {
	names := map[string]bool{}
	denied := d.Invalid != "" || d.Why != ""
	for _, tc := range d.Cases {
		switch {
		case names[tc.Case]:
			return fmt.Errorf("case %q is there twice", tc.Case)
		case !slices.Contains([]verdict{allowed, unmatched, skipped, denies, erroneous}, tc.Want):
			return fmt.Errorf("case %q wants %q", tc.Case, tc.Want)
		case tc.Want == denies && tc.Message == "":
			return fmt.Errorf("case %q has no message", tc.Case)
		case (tc.Server != tc.Want.onServer(&d.Spec) || tc.ServerOnly || tc.Audited) && tc.Why == "" && d.Why == "":
			return fmt.Errorf("case %q does not say why it is not the same on all planes", tc.Case)
		case tc.Object == nil && tc.Operation != "DELETE" && tc.Scale == nil && !tc.Evict && tc.Bind == "":
			return fmt.Errorf("case %q has no object", tc.Case)
		}
		names[tc.Case] = true
		denied = denied || tc.Server == denies || tc.Server == erroneous
	}
	if !denied {
		return fmt.Errorf("no case is denied: that its policy is enforced would not show")
	}
	return nil
}

// corpus is all documents below testdata/corpus, by file.
func corpus(t *testing.T) map[string][]*corpusRule {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no corpus", err)
	}
	out, names, cases := map[string][]*corpusRule{}, map[string]bool{}, 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range bytes.Split(content, []byte("\n---\n")) {
			d := &corpusRule{}
			if err := yaml.UnmarshalStrict(document, d); err != nil {
				t.Fatalf("%s, document %d: %v", file, i, err)
			}
			d.complete()
			if err := d.check(); err != nil || d.Rule == "" || names[d.Rule] {
				t.Fatalf("%s, document %d, rule %q: %v, or its name is used twice", file, i, d.Rule, err)
			}
			names[d.Rule] = true
			cases += len(d.Cases)
			if d.Invalid != "" {
				cases++
			}
			theme := strings.TrimSuffix(filepath.Base(file), ".yaml")
			out[theme] = append(out[theme], d)
		}
	}
	t.Logf("%d cases of %d rules", cases, len(names))
	if cases < minCases {
		t.Errorf("%d cases, want %d at least", cases, minCases)
	}
	return out
}

// integers are those of a document, which YAML gives as floats, as an API
// server and a dynamic client read them.
func integers(content map[string]any) map[string]any {
	text, err := (&unstructured.Unstructured{Object: content}).MarshalJSON()
	if err != nil {
		return content
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(text); err != nil {
		return content
	}
	return obj.Object
}

// asObject is a rule as a tree has it.
func (d *corpusRule) asObject(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.ClusterRule{Spec: d.Spec})
	if err != nil {
		t.Fatal(err)
	}
	delete(content, "status")
	obj := &unstructured.Unstructured{Object: content}
	obj.SetAPIVersion(v1alpha1.GroupVersion.String())
	key := d.key()
	obj.SetKind(key.Kind)
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	return obj
}
