package render

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// operator makes the kustomization that flux-operator builds for an instance.
type operator struct {
	spec      instanceSpec
	namespace string
	name      string // of the instance
	version   string
	dist      *distribution
}

// kustomization returns it with the files that it is built from, by name.
func (o operator) kustomization() (types.Kustomization, map[string][]byte, error) {
	files := map[string][]byte{}
	k := types.Kustomization{
		TypeMeta:     types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Namespace:    o.namespace,
		Transformers: []string{"annotations.yaml", "labels.yaml"},
		Resources:    []string{"namespace.yaml"},
	}
	base := append([]string{"rbac", "policies"}, o.spec.Components...)
	for _, name := range base {
		content, err := o.dist.base(o.version, name)
		if err != nil {
			return k, nil, err
		}
		files[name+".yaml"] = content
	}
	// kustomize does not reach the accounts of a ClusterRoleBinding.
	files["roles/rbac.yaml"] = []byte(strings.ReplaceAll(string(files["rbac.yaml"]), "flux-system", o.namespace))
	delete(files, "rbac.yaml")

	if o.networkPolicy() {
		k.Resources = append(k.Resources, "policies.yaml")
	} else {
		delete(files, "policies.yaml")
	}
	k.Resources = append(k.Resources, "roles")
	for _, component := range o.spec.Components {
		k.Resources = append(k.Resources, component+".yaml")
	}
	parts := map[string]any{
		"namespace.yaml":           namespaceObject(o.namespace),
		"roles/kustomization.yaml": types.Kustomization{TypeMeta: k.TypeMeta, Namespace: o.namespace, Resources: []string{"rbac.yaml"}, NameSuffix: "-" + o.namespace},
		"annotations.yaml":         o.annotations(),
		"labels.yaml":              o.labels(),
		"node-selector.yaml":       o.nodeSelector(),
	}
	if o.spec.Sharding != nil {
		for _, shard := range o.spec.Sharding.Shards {
			k.Resources = append(k.Resources, shard)
			parts[path.Join(shard, "kustomization.yaml")] = o.shard(shard)
			if o.spec.Sharding.Storage == "persistent" {
				parts[path.Join(shard, "pvc.yaml")] = o.claim()
			}
		}
	}
	if o.spec.Storage != nil {
		k.Resources = append(k.Resources, "pvc.yaml")
		parts["pvc.yaml"] = o.claim()
	}
	if o.spec.Sync != nil {
		k.Resources = append(k.Resources, "sync.yaml")
		text, err := o.sync(files)
		if err != nil {
			return k, nil, err
		}
		files["sync.yaml"] = text
	}
	var err error
	if k.Images, err = o.images(files); err != nil {
		return k, nil, err
	}
	if k.Patches, err = o.patches(files); err != nil {
		return k, nil, err
	}
	parts["kustomization.yaml"] = k
	for name, part := range parts {
		content, err := yaml.Marshal(part)
		if err != nil {
			return k, nil, fmt.Errorf("write %s: %w", name, err)
		}
		files[name] = content
	}
	return k, files, nil
}

func (o operator) networkPolicy() bool {
	return o.spec.Cluster.NetworkPolicy == nil || *o.spec.Cluster.NetworkPolicy
}

// atLeast compares with a minor version of Flux, such as "2.7".
func (o operator) atLeast(minor string) bool {
	have, err := semver.NewVersion(o.version)
	if err != nil {
		return false
	}
	want, err := semver.NewVersion(minor)
	return err == nil && (have.Major() > want.Major() || have.Major() == want.Major() && have.Minor() >= want.Minor())
}

func (o operator) has(component string) bool { return slices.Contains(o.spec.Components, component) }

// images sets the registry, and the tag and digest of each component.
func (o operator) images(files map[string][]byte) ([]types.Image, error) {
	registry := strings.TrimSuffix(o.spec.Distribution.Registry, "/")
	pinned, err := o.dist.images(o.version, o.variant(registry))
	if err != nil {
		return nil, err
	}
	var out []types.Image
	for _, component := range o.spec.Components {
		tag, err := imageTag(files[component+".yaml"], component)
		if err != nil {
			return nil, err
		}
		image := types.Image{Name: "fluxcd/" + component, NewName: registry + "/" + component, NewTag: tag}
		for _, p := range pinned {
			if path.Base(p.Name) == component {
				image.NewTag, image.Digest = cmp.Or(p.NewTag, tag), p.Digest
			}
		}
		out = append(out, image)
	}
	return out, nil
}

// variant is the list of images that a registry stands for.
func (o operator) variant(registry string) string {
	if o.spec.Distribution.Variant != "" {
		return o.spec.Distribution.Variant
	}
	return map[string]string{
		"ghcr.io/fluxcd":                                "upstream-alpine",
		"ghcr.io/controlplaneio-fluxcd/alpine":          "enterprise-alpine",
		"ghcr.io/controlplaneio-fluxcd/distroless":      "enterprise-distroless",
		"ghcr.io/controlplaneio-fluxcd/distroless-fips": "enterprise-distroless-fips",
	}[registry]
}

// imageTag is the tag of a component in its base manifests.
func imageTag(content []byte, component string) (string, error) {
	for _, doc := range documents(content) {
		if scalar(doc.node, "kind") != "Deployment" {
			continue
		}
		containers := atExactly(doc.node, "spec", "template", "spec", "containers")
		if containers == nil {
			continue
		}
		for _, container := range containers.Content {
			image := scalar(container, "image")
			if path.Base(imageName(image)) == component {
				image, _, _ = strings.Cut(image, "@")
				return strings.TrimPrefix(image[len(imageName(image)):], ":"), nil
			}
		}
	}
	return "", fmt.Errorf("the distribution's manifests of %s have no Deployment of it", component)
}

// claim is source-controller's volume.
func (o operator) claim() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": "source-controller"},
		"spec": map[string]any{
			"accessModes": []string{"ReadWriteOnce"}, "storageClassName": o.spec.Storage.Class,
			"resources": map[string]any{"requests": map[string]any{"storage": o.spec.Storage.Size}},
		},
	}
}
