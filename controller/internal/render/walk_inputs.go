package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
)

// inputs reads the files that say how to transform.
func (w *walk) inputs(k *kustomization, acc *accumulated) error {
	read := func(list string, names []string, into *[]string) error {
		for i, name := range names {
			if _, err := (loader{w.tree, k.dir}).yaml(name); err != nil {
				return k.fail(err, list, strconv.Itoa(i))
			}
			*into = append(*into, path.Join(k.dir, name))
		}
		return nil
	}
	if err := read("configurations", k.Configurations, &acc.configurations); err != nil {
		return err
	}
	if err := read("crds", k.Crds, &acc.crds); err != nil {
		return err
	}
	if file := k.OpenAPI["path"]; file != "" {
		if _, err := (loader{w.tree, k.dir}).yaml(file); err != nil {
			return k.fail(err, "openapi", "path")
		}
	}
	for list, names := range map[string][]string{"generators": k.Generators, "transformers": k.Transformers, "validators": k.Validators} {
		for i, name := range names {
			if err := w.plugin(k, name, k.origin(list, strconv.Itoa(i))); err != nil {
				return err
			}
		}
	}
	return nil
}

// plugin reads the configuration of a generator, transformer or validator. Only
// kustomize's own ones run.
func (w *walk) plugin(k *kustomization, text string, at Origin) error {
	configs := &accumulated{resources: resmap.New()}
	inline, err := w.inline(text)
	if err != nil {
		return asError(at, err)
	}
	if inline {
		if configs.resources, err = w.factory.NewResMapFromBytes([]byte(text)); err != nil {
			return asError(at, err)
		}
	} else {
		patches := w.patches
		err := w.resource(k, text, at, configs)
		w.patches = patches
		if err != nil {
			return err
		}
	}
	for _, config := range configs.resources.Resources() {
		if config.GetApiVersion() != "builtin" || strings.HasPrefix(config.GetKind(), "Helm") {
			return &Error{Origin: at, Err: fmt.Errorf("plugin %s/%s is not run: only kustomize's builtin ones are, without charts", config.GetApiVersion(), config.GetKind())}
		}
		content, err := config.Map()
		if err != nil {
			return asError(at, err)
		}
		if name := remoteFile(content, false); name != "" {
			return &Error{Origin: at, Err: fmt.Errorf("%s is remote: nothing is fetched, copy it into the repository", name)}
		}
		if err := w.pluginTexts(k, "", content); err != nil {
			return asError(at, err)
		}
		for _, field := range fileFields() {
			if err := w.pluginFiles(k, config, field, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// remoteFile is what a plugin's configuration, at any depth, has kustomize read and
// kustomize would fetch; empty where there is none.
func remoteFile(value any, isName bool) string {
	switch v := value.(type) {
	case string:
		if isName && isRemote(v) {
			return v
		}
	case []any:
		for _, one := range v {
			if found := remoteFile(one, isName); found != "" {
				return found
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found := remoteFile(v[key], slices.Contains(fileFields(), key)); found != "" {
				return found
			}
		}
	}
	return ""
}

// fileFields are the fields of builtin plugins that name files.
func fileFields() []string { return []string{"path", "paths", "files", "env", "envs"} }

// pluginTexts weighs what a plugin's configuration, at any depth, has kustomize
// parse: patches, and files that hold them. A path that is no file's is that of a
// field.
func (w *walk) pluginTexts(k *kustomization, field string, value any) error {
	switch v := value.(type) {
	case string:
		err := w.tree.text(v)
		if errors.Is(err, errNotYAML) && !slices.Contains([]string{"patch", "patches", "jsonOp"}, field) {
			err = nil
		}
		if err == nil && slices.Contains([]string{"path", "paths"}, field) {
			_, err = (loader{w.tree, k.dir}).yaml(v)
			if wrong := new(*excess); !errors.As(err, wrong) {
				err = nil
			}
		}
		return err
	case []any:
		for _, one := range v {
			if err := w.pluginTexts(k, field, one); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := w.pluginTexts(k, key, v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pluginFiles reads the files that a plugin's configuration names.
func (w *walk) pluginFiles(k *kustomization, config *resource.Resource, field string, at Origin) error {
	value, err := config.GetFieldValue(field)
	if err != nil {
		return nil //nolint:nilerr // the field is not there
	}
	var names []string
	switch v := value.(type) {
	case string:
		names = []string{v}
	case []any:
		for _, name := range v {
			names = append(names, fmt.Sprint(name))
		}
	}
	for _, name := range names {
		if _, after, ok := strings.Cut(name, "="); ok && field == "files" {
			name = after
		}
		if _, err := (loader{w.tree, k.dir}).Load(name); err != nil && !strings.Contains(name, "\n") {
			return asError(at, err)
		}
	}
	return nil
}
