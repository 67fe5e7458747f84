package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxYAMLDepth is how deep a YAML text may nest, aliases written out. The schema of
// a CustomResourceDefinition that holds a pod template is some 40 deep; writing a
// text takes bytes by its nodes times its depth.
const maxYAMLDepth = 200

// errNotYAML is a text that does not parse.
var errNotYAML = errors.New("does not parse")

// excess is why a YAML text is not built.
type excess struct {
	line int // from 1, 0 where it is not known
	err  error
}

// Error says what is wrong with the text.
func (e *excess) Error() string { return e.err.Error() }

// Unwrap returns what is wrong.
func (e *excess) Unwrap() error { return e.err }

// weigh counts the nodes that the documents of a YAML text have once their aliases
// are written out, as kustomize writes them: a few lines of aliases of aliases are
// billions of nodes, and one that is part of what it names has no end. Every error is
// an *excess, and is errNotYAML where the text does not parse.
func weigh(text []byte, limit int) (int, error) {
	w := weighAll(text, limit)
	return w.nodes, w.err
}

// weighed is what a text is as YAML.
type weighed struct {
	nodes int
	err   error // where it is none
	// twice is the first key that a mapping has two times, an *excess; nil where
	// there is none. Who reads such a mapping decides which one counts.
	twice error
}

// weighAll weighs a text, and finds the key that it says twice.
func weighAll(text []byte, limit int) weighed {
	// A node takes one of these bytes at least, and half of a pair does. What has
	// too many of them is not worth the memory of parsing it.
	starts := 0
	for _, b := range text {
		if strings.IndexByte("\n,:[{-?", b) >= 0 {
			starts++
		}
	}
	if starts > 2*limit {
		return weighed{err: &excess{err: fmt.Errorf("its YAML may have more than %d nodes", limit)}}
	}
	s := scale{limit: limit, anchored: map[*yaml.Node]weight{}}
	total := 0
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		switch err := decoder.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return weighed{nodes: total, twice: s.twice}
		case err != nil:
			return weighed{err: &excess{line: lineIn(err), err: fmt.Errorf("%w: %w", errNotYAML, err)}}
		}
		w, err := s.node(&doc, 0)
		if err != nil {
			return weighed{err: err}
		}
		if total += w.nodes; total > limit {
			return weighed{err: s.tooMany(doc.Line)}
		}
	}
}

// weight of a node with all that is below it.
type weight struct{ nodes, height int }

// scale weighs the nodes of one text.
type scale struct {
	limit    int
	anchored map[*yaml.Node]weight // without nodes while it is being weighed
	twice    error
}

func (s *scale) node(n *yaml.Node, depth int) (weight, error) {
	if n.Kind == yaml.AliasNode {
		w, known := s.anchored[n.Alias]
		switch {
		case known && w.nodes == 0:
			return w, &excess{n.Line, fmt.Errorf("the alias *%s is part of what it stands for", n.Value)}
		case known && depth+w.height > maxYAMLDepth:
			return w, s.tooDeep(n.Line)
		case known:
			return w, nil
		}
		n = n.Alias
	}
	if depth > maxYAMLDepth {
		return weight{}, s.tooDeep(n.Line)
	}
	if n.Anchor != "" {
		s.anchored[n] = weight{}
	}
	if n.Kind == yaml.MappingNode && s.twice == nil {
		s.twice = keyTwice(n)
	}
	w := weight{nodes: 1}
	for _, c := range n.Content {
		below, err := s.node(c, depth+1)
		if err != nil {
			return w, err
		}
		if w.nodes += below.nodes; w.nodes > s.limit {
			return w, s.tooMany(c.Line)
		}
		w.height = max(w.height, below.height+1)
	}
	if n.Anchor != "" {
		s.anchored[n] = w
	}
	return w, nil
}

// keyTwice is an error where a mapping has a key two times, as YAML's readers that
// refuse it say it.
func keyTwice(mapping *yaml.Node) error {
	lines := make(map[string]int, len(mapping.Content)/2)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if key.Kind != yaml.ScalarNode {
			continue
		}
		if first, known := lines[key.Value]; known {
			return &excess{key.Line, fmt.Errorf("mapping key %q already defined at line %d", key.Value, first)}
		}
		lines[key.Value] = key.Line
	}
	return nil
}

func (s *scale) tooDeep(line int) error {
	return &excess{line, fmt.Errorf("its YAML nests more than %d deep", maxYAMLDepth)}
}

func (s *scale) tooMany(line int) error {
	return &excess{line, fmt.Errorf("its YAML has more than %d nodes, each alias counted as what it stands for", s.limit)}
}
