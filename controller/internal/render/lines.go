package render

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// document is one object of a file as it is written.
type document struct {
	node *yaml.Node
	id   string
}

// documents are the objects of a YAML file, those of a List one by one. It stops
// where the file does not parse: kustomize says what is wrong there.
func documents(content []byte) []document {
	var out []document
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return out
		}
		if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
			continue
		}
		top := doc.Content[0]
		if items := child(top, "items"); items != nil && strings.HasSuffix(scalar(top, "kind"), "List") {
			for _, item := range items.Content {
				out = append(out, document{node: item, id: documentID(item)})
			}
			continue
		}
		out = append(out, document{node: top, id: documentID(top)})
	}
}

// documentID is what an object's file says of who it is.
func documentID(n *yaml.Node) string {
	meta := child(n, "metadata")
	return objectID(scalar(n, "apiVersion"), scalar(n, "kind"), scalar(meta, "namespace"), scalar(meta, "name"))
}

// objectID is an object as Change.Target has it.
func objectID(apiVersion, kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return apiVersion + "/" + kind + " " + name
}

// child is the value of a field of a mapping, nil where there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func scalar(n *yaml.Node, key string) string {
	if c := child(n, key); c != nil {
		return c.Value
	}
	return ""
}

// at follows fields, and indexes of lists, as far as they go.
func at(n *yaml.Node, fields ...string) *yaml.Node {
	for _, field := range fields {
		if n == nil {
			return nil
		}
		var next *yaml.Node
		if i, err := strconv.Atoi(field); err == nil && n.Kind == yaml.SequenceNode {
			if i < len(n.Content) {
				next = n.Content[i]
			}
		} else {
			next = child(n, field)
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// atExactly is at, and nil where a field on the way is not there.
func atExactly(n *yaml.Node, fields ...string) *yaml.Node {
	for _, field := range fields {
		next := at(n, field)
		if n == nil || next == n {
			return nil
		}
		n = next
	}
	return n
}

// lineOf is the line of a field, or of the closest thing above it that is there.
func lineOf(n *yaml.Node, fields ...string) int {
	if n == nil {
		return 1
	}
	if found := at(n, fields...); found != nil && found.Line > 0 {
		return found.Line
	}
	return 1
}

// commentOf is what stands above an entry of a list and behind its first line.
func commentOf(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	var lines []string
	take := func(text string) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "#")); line != "" {
				lines = append(lines, line)
			}
		}
	}
	take(n.HeadComment)
	if n.Kind == yaml.MappingNode && len(n.Content) > 1 {
		take(n.Content[0].HeadComment)
		take(n.Content[0].LineComment)
		take(n.Content[1].LineComment)
	}
	take(n.LineComment)
	return strings.Join(lines, "\n")
}

// parse returns the top mapping of a file with one document, nil where it has
// none.
func parse(content []byte) *yaml.Node {
	if docs := documents(content); len(docs) > 0 {
		return docs[0].node
	}
	return nil
}

// lineIn finds the line that an error of a YAML parser names, 0 where it names
// none.
func lineIn(err error) int {
	match := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	line, err := strconv.Atoi(match[1])
	if err != nil {
		return 0
	}
	return line
}
