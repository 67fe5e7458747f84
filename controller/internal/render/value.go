package render

import (
	"fmt"
	"slices"
	"strconv"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// snapshot is an object without kustomize's own annotations, with numbers of the
// types that an unstructured object may have.
func snapshot(res *resource.Resource) (map[string]any, error) {
	var value any
	var err error
	if folded(res.YNode()) {
		// kustomize's YAML writer adds line ends to some folded texts, and Flux
		// applies what it writes.
		var text []byte
		if text, err = res.MarshalJSON(); err == nil {
			err = utiljson.Unmarshal(text, &value)
		}
	} else {
		value, err = valueOf(res.YNode())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", resourceID(res), err)
	}
	content, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read %s: it is no object", resourceID(res))
	}
	dropInternal(content)
	return content, nil
}

// folded says whether a text below a node is written in the folded style.
func folded(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&yaml.FoldedStyle != 0 || slices.ContainsFunc(n.Content, folded)
}

// valueOf turns a YAML node into what JSON would give, without writing it: an
// object that several patches change is read as many times.
func valueOf(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return nil, fmt.Errorf("line %d: a document without content", n.Line)
		}
		return valueOf(n.Content[0])
	case yaml.AliasNode:
		return valueOf(n.Alias)
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, err := valueOf(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = value
		}
		return out, nil
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, element := range n.Content {
			value, err := valueOf(element)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	case yaml.ScalarNode:
		return scalarValue(n)
	default:
		return nil, fmt.Errorf("line %d: an unknown kind of YAML node", n.Line)
	}
}

// scalarValue has the type that YAML gives to a scalar. A date is a string, as
// it is for Kubernetes.
func scalarValue(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case yaml.NodeTagNull:
		return nil, nil //nolint:nilnil // the value is null
	case yaml.NodeTagBool:
		var value bool
		err := n.Decode(&value)
		return value, err
	case yaml.NodeTagInt:
		var value int64
		if err := n.Decode(&value); err != nil {
			return strconv.ParseFloat(n.Value, 64)
		}
		return value, nil
	case yaml.NodeTagFloat:
		var value float64
		err := n.Decode(&value)
		return value, err
	}
	return n.Value, nil
}
