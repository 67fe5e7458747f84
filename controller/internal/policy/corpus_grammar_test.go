package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// grammar makes random rules about Things, and random Things, from few fields
// and values, so that the two meet. No expression depends on the order of a
// map's entries: that is another one each time.
type grammar struct {
	*rand.Rand
	// refs lets expressions use refs.peers, the Things of the namespace.
	refs bool
}

func (g grammar) one(of ...string) string { return of[g.IntN(len(of))] }

// chance is true in one of n times.
func (g grammar) chance(n int) bool { return g.IntN(n) == 0 }

// field is how an expression reads one: where it is not there, that fails or not.
func (g grammar) field(name, otherwise string) string {
	if g.chance(2) {
		return "object.spec." + name
	}
	return "object.spec.?" + name + ".orValue(" + otherwise + ")"
}

func (g grammar) integer(depth int, vars []string) string {
	sub := func() string { return g.integer(depth-1, vars) }
	if depth <= 0 {
		if len(vars) > 0 && g.chance(2) {
			return "int(" + vars[g.IntN(len(vars))] + ")"
		}
		if g.refs && g.chance(4) {
			return g.one("refs.peers.size()", "refs.peers.filter(p, "+g.peer()+").size()", "refs.peers[0].spec.num")
		}
		return g.one("0", "1", "7", g.field("num", "3"), g.field("more", "2"))
	}
	switch g.IntN(9) {
	case 0:
		return "(" + sub() + " + " + sub() + ")"
	case 1:
		return "(" + sub() + " " + g.one("-", "*", "/", "%") + " " + sub() + ")"
	case 2:
		return "size(" + g.one(g.text(depth-1), g.list(depth-1, vars)) + ")"
	case 3:
		return "(" + g.boolean(depth-1, vars) + " ? " + sub() + " : " + sub() + ")"
	case 4:
		return g.list(depth-1, vars) + "[" + sub() + "]"
	case 5:
		return g.one("quantity(", "duration(") + g.field("quantity", "'1'") + g.one(").asInteger()", ").getSeconds()")
	case 6:
		return g.text(depth-1) + ".indexOf(" + g.text(0) + ")"
	}
	return g.integer(0, vars)
}

func (g grammar) text(depth int) string {
	if depth <= 0 {
		if g.refs && g.chance(6) {
			return "refs.peers.map(p, string(p.metadata.name)).join(' ')"
		}
		return g.one("'a'", "'web'", g.field("text", "'a'"), g.field("name", "'web'"), "object.metadata.name")
	}
	switch g.IntN(7) {
	case 0:
		return "(" + g.text(depth-1) + " + " + g.text(depth-1) + ")"
	case 1:
		return "string(" + g.integer(depth-1, nil) + ")"
	case 2:
		return "string(" + g.text(depth-1) + ")." + g.one("upperAscii()", "lowerAscii()", "trim()", "replace('a', 'b')", "substring(1)", "charAt(0)", "find('[a-e]+')")
	case 3:
		return g.one(g.field("words", "['x']"), "['a', 'b']") + ".map(w, string(w)).join(" + g.text(0) + ")"
	case 4:
		return "'%s %d'.format([" + g.text(depth-1) + ", " + g.integer(depth-1, nil) + "])"
	case 5:
		return "object.spec.?map[?" + g.text(0) + "].orValue('none')"
	}
	return g.text(0)
}

func (g grammar) list(depth int, vars []string) string {
	if depth <= 0 {
		return g.one("[1, 2, 3]", g.field("list", "[]"), g.field("list", "[4]"), "["+g.integer(0, vars)+"]")
	}
	v := fmt.Sprintf("v%d", depth)
	switch g.IntN(4) {
	case 0:
		return g.list(depth-1, vars) + ".map(" + v + ", " + g.integer(depth-1, append(vars[:len(vars):len(vars)], v)) + ")"
	case 1:
		return g.list(depth-1, vars) + ".filter(" + v + ", " + g.boolean(depth-1, append(vars[:len(vars):len(vars)], v)) + ")"
	}
	return g.list(0, vars)
}

func (g grammar) boolean(depth int, vars []string) string {
	sub := func() string { return g.boolean(depth-1, vars) }
	if depth <= 0 {
		if g.refs && g.chance(2) {
			return "refs.peers." + g.one("all", "exists", "exists_one") + "(p, " + g.peer() + ")"
		}
		return g.one("has(object.spec."+g.one("num", "text", "list", "map")+")", "("+g.field("flag", "true")+" == true)",
			"("+g.integer(0, vars)+" "+g.one("<", "<=", "==", "!=", ">")+" "+g.integer(0, vars)+")")
	}
	v := fmt.Sprintf("v%d", depth)
	switch g.IntN(15) {
	case 0, 1:
		return "(" + sub() + " " + g.one("&&", "||") + " " + sub() + ")"
	case 2:
		return "!" + sub()
	case 3:
		return "(" + g.integer(depth-1, vars) + " " + g.one("<", "<=", "==", "!=", ">", ">=") + " " + g.integer(depth-1, vars) + ")"
	case 4:
		return "(" + g.text(depth-1) + " " + g.one("==", "!=", "<") + " " + g.text(depth-1) + ")"
	case 5:
		return "string(" + g.text(depth-1) + ")." + g.one("startsWith", "endsWith", "contains") + "(" + g.text(0) + ")"
	case 6:
		return "string(" + g.text(depth-1) + ").matches('^[a-c]" + g.one("+", "*", "?") + "')"
	case 7:
		return g.list(depth-1, vars) + "." + g.one("all", "exists", "exists_one") + "(" + v + ", " + g.boolean(depth-1, append(vars[:len(vars):len(vars)], v)) + ")"
	case 8:
		return "(" + g.integer(depth-1, vars) + " in " + g.list(depth-1, vars) + ")"
	case 9:
		return "(" + g.text(0) + " in " + g.field("map", "{'a': 'b'}") + ")"
	case 10:
		return "quantity(" + g.field("quantity", "'1Gi'") + ")." + g.one("isLessThan", "isGreaterThan") + "(quantity('" + g.one("1", "500m", "1Gi", "-1k") + "'))"
	case 11:
		return g.one("isIP(", "isQuantity(", "isCIDR(", "isURL(") + g.one(g.field("address", "'::1'"), g.field("quantity", "'1'")) + ")"
	case 12:
		return "cidr('" + g.one("10.0.0.0/8", "2001:db8::/32") + "').containsIP(" + g.field("address", "'10.0.0.1'") + ")"
	case 13:
		return "format." + g.one("dns1123Label", "labelValue", "uri", "uuid") + "().validate(" + g.text(0) + ").hasValue()"
	}
	return "(" + sub() + " ? " + sub() + " : " + sub() + ")"
}

// peer is what an expression asks of an object on the list.
func (g grammar) peer() string {
	return g.one("p.metadata.name == object.metadata.name", "p.spec.?num.orValue(0) < "+g.one("1", "7", "object.spec.num"),
		"p.spec.num > 0", "p.spec.?text.orValue('b') == "+g.text(0), "selectorMatches({'matchLabels': {'app': 'web'}}, p.metadata.labels)",
		"selectorMatches({'matchExpressions': [{'key': 'app', 'operator': '"+g.one("In", "NotIn")+"', 'values': ['web']}]}, p.metadata.labels)")
}

// document is a rule in one of the namespaces, and some Things there. Where expressions
// may use refs some are there before, and two requests change one of those.
func (g grammar) document(name, namespace string) *corpusRule {
	d := &corpusRule{Rule: name, Namespace: namespace, Kind: g.one(rule.KindRule, rule.KindClusterRule), Webhook: g.refs}
	if g.refs {
		d.Spec.References = []v1alpha1.Reference{{Name: "peers", APIVersion: corpusGroup + "/v1", Kind: "Thing", Namespaces: []string{v1alpha1.NamespacesSame}}}
		if g.chance(3) {
			d.Spec.References[0].LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		}
	}
	if g.chance(2) {
		ignore := admissionregistrationv1.Ignore
		d.Spec.FailurePolicy = &ignore
	}
	plain := grammar{Rand: g.Rand} // match conditions see no refs
	for i := range g.IntN(3) {
		d.Spec.MatchConditions = append(d.Spec.MatchConditions, admissionregistrationv1.MatchCondition{
			Name: fmt.Sprintf("c%d", i), Expression: plain.one("true", plain.boolean(1, nil), plain.boolean(2, nil)),
		})
	}
	var vars []string
	for i := range g.IntN(3) {
		d.Spec.Variables = append(d.Spec.Variables, admissionregistrationv1.Variable{Name: fmt.Sprintf("x%d", i), Expression: g.integer(2, vars)})
		vars = append(vars, fmt.Sprintf("variables.x%d", i))
	}
	for i := range 1 + g.IntN(3) {
		validation := admissionregistrationv1.Validation{Expression: g.boolean(1+g.IntN(3), vars), Message: fmt.Sprintf("validation %d", i)}
		if g.chance(3) {
			validation.MessageExpression = g.text(2)
		}
		if g.chance(4) {
			reason := metav1.StatusReasonForbidden
			validation.Reason = &reason
		}
		d.Spec.Validations = append(d.Spec.Validations, validation)
	}
	if g.chance(5) {
		d.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	}
	if g.chance(3) {
		d.Spec.Exceptions = []v1alpha1.Exception{{Namespace: namespace, Name: "thing-1", Reason: "known"}}
	}
	for i := range 8 {
		d.Cases = append(d.Cases, &corpusCase{Case: fmt.Sprintf("thing %d", i), Object: g.thing()})
	}
	if g.refs {
		d.Given = g.given(name)
		for i := range min(2, len(d.Given)) {
			// Another content for one that is there.
			there := &unstructured.Unstructured{Object: d.Given[i]}
			tc := d.Cases[2+i]
			changed := &unstructured.Unstructured{Object: tc.Object}
			changed.SetAPIVersion(there.GetAPIVersion())
			changed.SetKind(there.GetKind())
			changed.SetName(there.GetName())
			if d.Spec.MatchConstraints.ObjectSelector != nil {
				changed.SetLabels(there.GetLabels()) // an API server also asks by the old ones, the audit cannot
			}
			tc.Old = there.DeepCopy().Object
		}
	}
	d.complete()
	return d
}

// given are Things that are there before.
func (g grammar) given(rule string) []map[string]any {
	given := make([]map[string]any, g.IntN(5))
	for i := range given {
		obj := &unstructured.Unstructured{Object: g.thing()}
		obj.SetAPIVersion(corpusGroup + "/v1")
		obj.SetKind("Thing")
		obj.SetName(fmt.Sprintf("%s-%d", rule, i))
		given[i] = obj.Object
	}
	return given
}

// thing has most of the fields, with few of another type.
func (g grammar) thing() map[string]any {
	values := map[string][]any{
		"num": {int64(0), int64(1), int64(7), int64(-3), int64(9223372036854775807)}, "more": {int64(2), int64(3), 1.5},
		"flag": {true, false}, "text": {"a", "b", "web", "", "äö"}, "name": {"web", "Web", "a b"},
		"list": {[]any{}, []any{int64(1)}, []any{int64(3), int64(1), int64(2)}, []any{int64(1), "a"}}, "words": {[]any{"a", "b"}, []any{}},
		"map": {map[string]any{}, map[string]any{"a": "b", "web": "x"}}, "quantity": {"1", "500m", "2Gi", "1h", "much"},
		"address": {"10.1.2.3", "2001:db8::1", "127.0.0.1", "010.0.0.1", "no"},
	}
	spec := map[string]any{}
	for name := range strings.FieldsSeq("num more flag text name list words map quantity address") {
		switch of := values[name]; {
		case g.chance(6):
		case g.chance(20):
			spec[name] = []any{nil, "text", int64(5), true, map[string]any{}}[g.IntN(5)]
		default:
			spec[name] = of[g.IntN(len(of))]
		}
	}
	object := map[string]any{"spec": spec}
	if g.chance(2) {
		object["metadata"] = map[string]any{"labels": map[string]any{"app": g.one("web", "web", "db")}}
	}
	return object
}
