package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // kustomize has no other way to apply one patch
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/yaml"
)

// indexAnnotation tells the objects apart over a step that can rename them.
const indexAnnotation = "render.mainstay.dev/index"

// stepFile holds the objects of a step, beside its kustomization.
const stepFile = ".mainstay-render-step.yaml"

// helpers are what kustomize's own transformers and generators are made with.
func (w *walk) helpers(dir string) *resmap.PluginHelpers {
	return resmap.NewPluginHelpers(loader{w.tree, dir}, w.provider.GetFieldValidator(), w.factory, types.DisabledPluginConfig())
}

// generate adds what the generators of a kustomization make.
func (w *walk) generate(k *kustomization, acc *accumulated) error {
	run := func(list string, i int, g resmap.GeneratorPlugin, args any) error {
		at := k.origin(list, strconv.Itoa(i))
		config, err := yaml.Marshal(args)
		if err != nil {
			return asError(at, fmt.Errorf("read the generator: %w", err))
		}
		if err := g.Config(w.helpers(k.dir), config); err != nil {
			return asError(at, err)
		}
		made, err := g.Generate()
		if err != nil {
			return asError(at, err)
		}
		for _, res := range made.Resources() {
			w.places[res] = place{origin: at}
		}
		return asErrorOrNil(at, acc.resources.AbsorbAll(made))
	}
	for i, args := range k.ConfigMapGenerator {
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, k.GeneratorOptions)
		if err := run("configMapGenerator", i, builtins.NewConfigMapGeneratorPlugin(), args); err != nil {
			return err
		}
	}
	for i, args := range k.SecretGenerator {
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, k.GeneratorOptions)
		if err := run("secretGenerator", i, builtins.NewSecretGeneratorPlugin(), args); err != nil {
			return err
		}
	}
	if len(k.Generators) == 0 {
		return nil
	}
	only := k.bare()
	only.Generators = k.Generators
	made, err := w.alone(k, only)
	if err != nil {
		return k.fail(fmt.Errorf("run the generators: %w", err), "generators")
	}
	for _, res := range made.Resources() {
		w.places[res] = place{origin: k.origin("generators")}
	}
	return asErrorOrNil(k.origin("generators"), acc.resources.AbsorbAll(made))
}

// transform runs the transformers of a kustomization in kustomize's order.
func (w *walk) transform(k *kustomization, acc *accumulated) error {
	if err := w.patchesStrategicMerge(k, acc.resources); err != nil {
		return err
	}
	if err := w.patchesList(k, "patches", k.Patches, acc.resources); err != nil {
		return err
	}
	metadata := k.bare()
	metadata.Namespace, metadata.NamePrefix, metadata.NameSuffix = k.Namespace, k.NamePrefix, k.NameSuffix
	metadata.Labels, metadata.CommonLabels, metadata.CommonAnnotations = k.Labels, k.CommonLabels, k.CommonAnnotations                   //nolint:staticcheck // deprecated, and still built
	if k.Namespace != "" || k.NamePrefix != "" || k.NameSuffix != "" || len(k.Labels)+len(k.CommonLabels)+len(k.CommonAnnotations) > 0 { //nolint:staticcheck // deprecated, and still built
		if err := w.step(k, metadata, acc); err != nil {
			return k.fail(fmt.Errorf("set names, namespace and labels: %w", err))
		}
	}
	if err := w.patchesList(k, "patchesJson6902", k.PatchesJson6902, acc.resources); err != nil { //nolint:staticcheck // deprecated, and still built
		return err
	}
	if err := w.replicas(k, acc.resources); err != nil {
		return err
	}
	if err := w.images(k, acc.resources); err != nil {
		return err
	}
	if err := w.replacements(k, acc.resources); err != nil {
		return err
	}
	if len(k.Transformers) == 0 {
		return nil
	}
	others := k.bare()
	others.Transformers = k.Transformers
	if err := w.step(k, others, acc); err != nil {
		return k.fail(fmt.Errorf("run the transformers: %w", err), "transformers")
	}
	return nil
}

// step lets kustomize run some fields of a kustomization on what is gathered.
func (w *walk) step(k *kustomization, some types.Kustomization, acc *accumulated) error {
	resources := acc.resources.Resources()
	if len(resources) == 0 {
		return nil
	}
	var objects bytes.Buffer
	for i, res := range resources {
		content, err := snapshot(res)
		if err != nil {
			return err
		}
		if err := unstructured.SetNestedField(content, strconv.Itoa(i), "metadata", "annotations", indexAnnotation); err != nil {
			return fmt.Errorf("mark %s: %w", resourceID(res), err)
		}
		text, err := json.Marshal(content)
		if err != nil {
			return fmt.Errorf("write %s: %w", resourceID(res), err)
		}
		objects.WriteString("---\n")
		objects.Write(text)
		objects.WriteString("\n")
	}
	file := path.Join(k.dir, stepFile)
	w.tree.memory.put(file, objects.Bytes())
	defer delete(w.tree.memory.files, file)
	some.Resources = []string{stepFile}
	some.Configurations, some.Crds = below(k.dir, acc.configurations), below(k.dir, acc.crds)
	out, err := w.alone(k, some)
	if err != nil {
		return err
	}
	for _, res := range out.Resources() {
		annotations := res.GetAnnotations()
		i, err := strconv.Atoi(annotations[indexAnnotation])
		if err != nil || i < 0 || i >= len(resources) {
			return fmt.Errorf("find the source of %s: it lost its mark", resourceID(res))
		}
		delete(annotations, indexAnnotation)
		if err := takeOver(resources[i], res, annotations); err != nil {
			return err
		}
	}
	return nil
}

// takeOver puts what a step made of an object into it. Kustomize's own
// annotations, which hold its earlier names, stay.
func takeOver(res, made *resource.Resource, annotations map[string]string) error {
	if res.CurId() != made.CurId() {
		res.StorePreviousId()
	}
	for key, value := range res.GetAnnotations() {
		if strings.HasPrefix(key, "internal.config.kubernetes.io/") {
			annotations[key] = value
		}
	}
	maps.Copy(annotations, kioutil.GetInternalAnnotations(&res.RNode))
	if err := made.SetAnnotations(annotations); err != nil {
		return fmt.Errorf("take over %s: %w", resourceID(made), err)
	}
	res.SetYNode(made.YNode())
	return nil
}

// alone builds a kustomization in the place of the one that is there.
func (w *walk) alone(k *kustomization, some types.Kustomization) (resmap.ResMap, error) {
	content, err := yaml.Marshal(some)
	if err != nil {
		return nil, fmt.Errorf("write the kustomization: %w", err)
	}
	whole := w.tree.memory.files[k.file]
	w.tree.memory.put(k.file, content)
	defer func() { w.tree.memory.put(k.file, whole) }()
	return w.kustomize(k.dir, krusty.ReorderOptionNone)
}

// below makes paths that are relative to the root relative to dir.
func below(dir string, files []string) []string {
	var out []string
	for _, file := range files {
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			rel = file
		}
		out = append(out, filepath.ToSlash(rel))
	}
	return out
}

func asErrorOrNil(at Origin, err error) error {
	if err == nil {
		return nil
	}
	return asError(at, err)
}
