package expr

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/cel/library"
)

const selectorMatchesName = "selectorMatches"

// selectorMatchesFunction is selectorMatches(selector, labels): whether a
// LabelSelector selects labels. A null or absent selector selects nothing, an
// empty one everything; null and absent labels are empty ones. A selector that
// the API server would refuse, a map of labels in the place of a selector
// among them, is a run-time error.
func selectorMatchesFunction() cel.EnvOption {
	return cel.Function(selectorMatchesName, cel.Overload(
		"selector_matches_dyn_dyn", []*cel.Type{cel.DynType, cel.DynType}, cel.BoolType,
		cel.BinaryBinding(func(selector, labels ref.Val) ref.Val {
			matches, err := selectorMatches(selector, labels)
			if err != nil {
				return types.NewErr("%s: %w", selectorMatchesName, err)
			}
			return types.Bool(matches)
		}),
	))
}

// absentIsNull makes selectorMatches(a.selector, b.labels) select both fields
// optionally: an API server leaves out empty labels, and that is no error here.
// Fields of variables and refs are always there.
func absentIsNull(factory cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	optional := make([]ast.Expr, 0, len(args))
	for _, arg := range args {
		if arg.Kind() == ast.SelectKind && !arg.AsSelect().IsTestOnly() && !isRecord(arg.AsSelect().Operand()) {
			arg = factory.NewCall(operators.OptSelect, arg.AsSelect().Operand(), factory.NewLiteral(types.String(arg.AsSelect().FieldName())))
		}
		optional = append(optional, arg)
	}
	return factory.NewCall(selectorMatchesName, optional...), nil
}

func isRecord(e ast.Expr) bool {
	return e.Kind() == ast.IdentKind && (e.AsIdent() == variablesVar || e.AsIdent() == refsVar)
}

// native is a CEL value as plain Go: maps with string keys, lists, strings and
// so on. An optional value is unwrapped, an absent one is nil. The content of
// an object is taken as it is, without a copy.
func native(v ref.Val) (any, error) {
	switch typed := v.(type) {
	case *types.Optional:
		if !typed.HasValue() {
			return nil, nil //nolint:nilnil // null is a value
		}
		return native(typed.GetValue())
	case types.Null:
		return nil, nil //nolint:nilnil // null is a value
	case traits.Mapper:
		if content, ok := typed.Value().(map[string]any); ok {
			return content, nil
		}
		return nativeMap(typed)
	case traits.Lister:
		if content, ok := typed.Value().([]any); ok {
			return content, nil
		}
		var list []any
		for it := typed.Iterator(); it.HasNext() == types.True; {
			element, err := native(it.Next())
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		return list, nil
	}
	return v.Value(), nil
}

func nativeMap(m traits.Mapper) (map[string]any, error) {
	content := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("the key %v must be a string", key.Value())
		}
		value, err := native(m.Get(key))
		if err != nil {
			return nil, err
		}
		content[string(name)] = value
	}
	return content, nil
}

// mapOf is an optional map: a null or absent one is empty.
func mapOf(v any, name string) (map[string]any, error) {
	content, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("%s must be a map", name)
	}
	return content, nil
}

func listOf(v any, name string) ([]any, error) {
	content, ok := v.([]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("%s must be a list", name)
	}
	return content, nil
}

func selectorMatches(selector, target ref.Val) (bool, error) {
	content, err := native(selector)
	if err != nil || content == nil {
		return false, err
	}
	wanted, err := mapOf(content, "selector")
	if err != nil {
		return false, err
	}
	if content, err = native(target); err != nil {
		return false, err
	}
	set, err := mapOf(content, "labels")
	if err != nil {
		return false, err
	}
	for name := range wanted {
		if name != "matchLabels" && name != "matchExpressions" {
			return false, fmt.Errorf("%q is not a field of a label selector (want matchLabels, matchExpressions)", name)
		}
	}
	// Every requirement is looked at although one has failed: whether a
	// selector is valid must not depend on the labels.
	labelsMatch, err := matchLabels(wanted["matchLabels"], set)
	if err != nil {
		return false, err
	}
	expressionsMatch, err := matchExpressions(wanted["matchExpressions"], set)
	return labelsMatch && expressionsMatch, err
}

func matchLabels(v any, set map[string]any) (bool, error) {
	wanted, err := mapOf(v, "matchLabels")
	if err != nil {
		return false, err
	}
	matches := true
	for name, value := range wanted {
		text, ok := value.(string)
		if !ok {
			return false, fmt.Errorf("the value of %q in matchLabels must be a string", name)
		}
		if !plainKey(name) || !plainValue(text) {
			if _, err := labels.NewRequirement(name, selection.Equals, []string{text}); err != nil {
				return false, fmt.Errorf("invalid matchLabels: %w", err)
			}
		}
		got, found, err := labelOf(set, name)
		if err != nil {
			return false, err
		}
		matches = matches && found && got == text
	}
	return matches, nil
}

func matchExpressions(v any, set map[string]any) (bool, error) {
	entries, err := listOf(v, "matchExpressions")
	if err != nil {
		return false, err
	}
	matches := true
	for _, entry := range entries {
		one, err := matchExpression(entry, set)
		if err != nil {
			return false, fmt.Errorf("invalid matchExpressions: %w", err)
		}
		matches = matches && one
	}
	return matches, nil
}

func matchExpression(v any, set map[string]any) (bool, error) {
	entry, err := mapOf(v, "an entry")
	if err != nil {
		return false, err
	}
	key, _ := entry["key"].(string)
	operator, _ := entry["operator"].(string)
	list, err := listOf(entry["values"], "values")
	if err != nil {
		return false, err
	}
	values := make([]string, 0, len(list))
	for _, one := range list {
		value, ok := one.(string)
		if !ok {
			return false, fmt.Errorf("the values of %q must be strings", key)
		}
		values = append(values, value)
	}
	op, err := operatorOf(operator)
	if err != nil {
		return false, err
	}
	if _, err := labels.NewRequirement(key, op, values); err != nil {
		return false, err
	}
	got, found, err := labelOf(set, key)
	if err != nil {
		return false, err
	}
	switch op {
	case selection.In:
		return found && slices.Contains(values, got), nil
	case selection.NotIn:
		return !found || !slices.Contains(values, got), nil
	case selection.Exists:
		return found, nil
	default:
		return !found, nil
	}
}

// operatorOf is the operator that a LabelSelector means by a name.
func operatorOf(name string) (selection.Operator, error) {
	switch metav1.LabelSelectorOperator(name) {
	case metav1.LabelSelectorOpIn:
		return selection.In, nil
	case metav1.LabelSelectorOpNotIn:
		return selection.NotIn, nil
	case metav1.LabelSelectorOpExists:
		return selection.Exists, nil
	case metav1.LabelSelectorOpDoesNotExist:
		return selection.DoesNotExist, nil
	}
	return "", fmt.Errorf("%q is not a valid label selector operator", name)
}

func labelOf(set map[string]any, name string) (string, bool, error) {
	value, found := set[name]
	if !found {
		return "", false, nil
	}
	text, ok := value.(string)
	if !ok {
		return "", false, fmt.Errorf("the label %q must be a string", name)
	}
	return text, true, nil
}

// plainKey is true for label keys that are valid at a glance, as nearly all
// are: the full check is twenty times as expensive.
func plainKey(key string) bool {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return key != "" && plainValue(key)
	}
	if name == "" || !plainValue(name) ||
		prefix == "" || len(prefix) > 63 || !lowerOrDigit(prefix[0]) || !lowerOrDigit(prefix[len(prefix)-1]) {
		return false
	}
	for i := range len(prefix) {
		// A dot next to a dash or dot is left to the full check.
		if c := prefix[i]; !lowerOrDigit(c) && (c != '.' && c != '-' || !lowerOrDigit(prefix[i-1])) {
			return false
		}
	}
	return true
}

// plainValue is true for label values that are valid at a glance.
func plainValue(value string) bool {
	if value == "" {
		return true
	}
	if len(value) > 63 || !alphanumeric(value[0]) || !alphanumeric(value[len(value)-1]) {
		return false
	}
	for i := range len(value) {
		if c := value[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

func alphanumeric(c byte) bool {
	return lowerOrDigit(c) || 'A' <= c && c <= 'Z'
}

// costs is upstream's cost tracker with selectorMatches added.
type costs struct {
	library.CostEstimator
}

// CallCost implements interpreter.ActualCostEstimator. Matching reads a
// selector once, so it costs one lookup for each of its entries and the
// traversal of their text.
func (c *costs) CallCost(function, overloadID string, args []ref.Val, result ref.Val) *uint64 {
	if function != selectorMatchesName {
		return c.CostEstimator.CallCost(function, overloadID, args, result)
	}
	selector, err := native(args[0])
	if err != nil {
		return nil
	}
	return new(1 + selectorCost(selector))
}

func selectorCost(v any) uint64 {
	cost := uint64(1)
	switch typed := v.(type) {
	case string:
		cost += uint64(math.Ceil(float64(len(typed)) * common.StringTraversalCostFactor))
	case map[string]any:
		for name, value := range typed {
			cost += selectorCost(name) + selectorCost(value)
		}
	case []any:
		for _, element := range typed {
			cost += selectorCost(element)
		}
	}
	return cost
}
