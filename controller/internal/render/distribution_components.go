package render

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// splitComponents takes a gotk-components.yaml apart again, into the base
// manifests that flux2 made it from: names, labels, images and arguments are as
// they are there.
func splitComponents(content []byte) (*distribution, error) {
	files := map[string]*bytes.Buffer{}
	version, namespace := "", ""
	docs := documents(content)
	for _, doc := range docs {
		meta := child(doc.node, "metadata")
		version = cmp.Or(version, scalar(child(meta, "labels"), "app.kubernetes.io/version"))
		if scalar(doc.node, "kind") == "Namespace" {
			namespace = scalar(meta, "name")
		}
	}
	if version == "" || namespace == "" {
		return nil, errors.New("it is no gotk-components.yaml: want a Namespace, and the label app.kubernetes.io/version on its objects")
	}
	for _, doc := range docs {
		name, err := ownFile(doc.node, namespace)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if files[name] == nil {
			files[name] = &bytes.Buffer{}
		}
		text, err := yaml.String(doc.node)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", doc.id, err)
		}
		_, _ = files[name].WriteString("---\n" + text)
	}
	d := &distribution{versions: map[string]string{version: "."}, split: map[string][]byte{"policies": {}}}
	for name, text := range files {
		d.split[name] = text.Bytes()
	}
	if d.split["rbac"] == nil || d.split["source-controller"] == nil {
		return nil, errors.New("it holds no roles, or no source-controller")
	}
	return d, nil
}

// ownFile is the base that an object belongs to, after undoing what the
// installation did to it.
func ownFile(node *yaml.Node, namespace string) (string, error) {
	meta := child(node, "metadata")
	component := scalar(child(meta, "labels"), "app.kubernetes.io/component")
	remove(meta, "namespace")
	labels := child(meta, "labels")
	for _, label := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version"} {
		remove(labels, label)
	}
	switch kind := scalar(node, "kind"); kind {
	case "Namespace":
		return "", nil
	case "NetworkPolicy":
		return "policies", nil
	case "ClusterRole", "ClusterRoleBinding", "ResourceQuota":
		for _, name := range []*yaml.Node{child(meta, "name"), child(child(node, "roleRef"), "name")} {
			if name != nil {
				name.Value = strings.TrimSuffix(name.Value, "-"+namespace)
			}
		}
		if subjects := child(node, "subjects"); subjects != nil {
			for _, subject := range subjects.Content {
				if at := child(subject, "namespace"); at != nil {
					at.Value = "flux-system"
				}
			}
		}
		return "rbac", nil
	case "Deployment":
		return component, plainDeployment(node, component)
	default:
		if component == "" {
			return "", fmt.Errorf("%s has no label app.kubernetes.io/component", documentID(node))
		}
		return component, nil
	}
}

// plainDeployment takes out of a Deployment what the installation put into it.
func plainDeployment(node *yaml.Node, component string) error {
	labels := atExactly(node, "spec", "template", "metadata", "labels")
	for _, label := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version"} {
		remove(labels, label)
	}
	remove(atExactly(node, "spec", "template", "spec"), "nodeSelector")
	container := atExactly(node, "spec", "template", "spec", "containers", "0")
	image := child(container, "image")
	if image == nil || path.Base(imageName(image.Value)) != component {
		return fmt.Errorf("%s does not run %s first", documentID(node), component)
	}
	image.Value = "fluxcd/" + path.Base(imageName(image.Value)) + image.Value[len(imageName(image.Value)):]
	if args := child(container, "args"); args != nil {
		args.Content = slices.DeleteFunc(args.Content, func(arg *yaml.Node) bool { return arg.Value == "--feature-gates=ExternalArtifact=true" })
	}
	return nil
}

func remove(mapping *yaml.Node, key string) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}
