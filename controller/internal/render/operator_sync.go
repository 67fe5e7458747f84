package render

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// sync is the source and the Kustomization that follow a repository.
func (o operator) sync(files map[string][]byte) ([]byte, error) {
	s := o.spec.Sync
	name := cmp.Or(s.Name, o.namespace)
	every, err := time.ParseDuration(cmp.Or(s.Interval, "1m"))
	if err != nil {
		return nil, fmt.Errorf("read spec.sync.interval: %w", err)
	}
	spec := map[string]any{"interval": every.String(), "url": s.URL}
	switch s.Kind {
	case "GitRepository":
		spec["ref"] = map[string]any{"name": s.Ref}
	case "OCIRepository":
		spec["ref"] = map[string]any{"tag": s.Ref}
	case "Bucket":
		delete(spec, "url")
		spec["endpoint"], spec["bucketName"] = s.URL, s.Ref
	}
	if s.PullSecret != "" {
		spec["secretRef"] = map[string]any{"name": s.PullSecret}
	}
	if s.Provider != "" {
		spec["provider"] = s.Provider
	}
	var out bytes.Buffer
	for _, part := range []struct {
		kind, crd, component string
		spec                 map[string]any
	}{
		{s.Kind, plural(s.Kind) + ".source.toolkit.fluxcd.io", "source-controller", spec},
		{"Kustomization", "kustomizations.kustomize.toolkit.fluxcd.io", "kustomize-controller", map[string]any{
			"interval": (10 * time.Minute).String(), "path": s.Path, "prune": true,
			"sourceRef": map[string]any{"kind": s.Kind, "name": name},
		}},
	} {
		_, group, _ := strings.Cut(part.crd, ".")
		content, err := yaml.Marshal(map[string]any{
			"apiVersion": group + "/" + storedVersion(files[part.component+".yaml"], part.crd), "kind": part.kind,
			"metadata": map[string]any{"name": name, "namespace": o.namespace}, "spec": part.spec,
		})
		if err != nil {
			return nil, fmt.Errorf("write the %s to sync from: %w", part.kind, err)
		}
		out.WriteString("---\n")
		out.Write(content)
	}
	return out.Bytes(), nil
}

func plural(kind string) string {
	kind = strings.ToLower(kind)
	if rest, ok := strings.CutSuffix(kind, "y"); ok {
		return rest + "ies"
	}
	return kind + "s"
}

// storedVersion is the version of a CRD that is stored.
func storedVersion(content []byte, crd string) string {
	for _, doc := range documents(content) {
		if scalar(child(doc.node, "metadata"), "name") != crd {
			continue
		}
		if versions := atExactly(doc.node, "spec", "versions"); versions != nil {
			for _, version := range versions.Content {
				if scalar(version, "storage") == "true" {
					return scalar(version, "name")
				}
			}
		}
	}
	return "v1"
}
