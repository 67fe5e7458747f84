package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

func newRenderCommand() *cobra.Command {
	var opts render.Options
	var output string
	var origins bool
	cmd := &cobra.Command{
		Use:   "render PATH",
		Short: "Print what a kustomization gives, with what flux-operator makes of its FluxInstances",
		Long: `Builds the kustomization at PATH and prints its objects, followed by those that
flux-operator makes of every FluxInstance among them. A folder without a
kustomization is taken as Flux takes it: all of its manifests that Flux fetches.

Nothing is fetched, except a distribution that is named by an OCI reference.
It exits with 0, and with 2 when it could not render.`,
		Example: `  mainstay render clusters/production --distribution ./flux-manifests
  mainstay render clusters/production --distribution gotk-components.yaml -o json
  mainstay render clusters/production --distribution oci://ghcr.io/controlplaneio-fluxcd/flux-operator-manifests`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "yaml" && output != "json" {
				return withExit(exitCannot, fmt.Errorf("--output is %q, want yaml or json", output))
			}
			opts.Path = args[0]
			result, err := render.Render(cmd.Context(), opts)
			if err != nil {
				return withExit(exitCannot, err)
			}
			return withExit(exitCannot, printObjects(cmd.OutOrStdout(), result, output, origins))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Distribution, "distribution", "", "Flux's manifests for the FluxInstances: a folder, a gotk-components.yaml, or oci:// and a reference")
	flags.StringVar(&opts.Root, "root", "", "folder that no file may be outside of (default the Git repository of PATH, else PATH)")
	flags.StringVarP(&output, "output", "o", "yaml", "yaml or json")
	flags.BoolVar(&origins, "origins", false, "say of every object which file and line, or which FluxInstance, it comes from")
	return cmd
}

// originAnnotation holds an object's source with --origins -o json, and is the
// one that kustomize's own buildMetadata uses.
const originAnnotation = "config.kubernetes.io/origin"

// printObjects writes a YAML stream, or a List as JSON.
func printObjects(out io.Writer, result *render.Result, format string, origins bool) error {
	if format == "json" {
		items := make([]map[string]any, 0, len(result.Objects))
		for _, object := range result.Objects {
			if origins {
				annotations := object.Object.GetAnnotations()
				if annotations == nil {
					annotations = map[string]string{}
				}
				annotations[originAnnotation] = origin(object.Origin, "\n")
				object.Object.SetAnnotations(annotations)
			}
			items = append(items, object.Object.Object)
		}
		content, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "    ")
		if err != nil {
			return fmt.Errorf("write the objects: %w", err)
		}
		_, err = fmt.Fprintf(out, "%s\n", content)
		return err
	}
	for i, object := range result.Objects {
		content, err := yaml.Marshal(object.Object.Object)
		if err != nil {
			return fmt.Errorf("write %s %s: %w", object.Object.GetKind(), object.Object.GetName(), err)
		}
		head := ""
		if i > 0 {
			head = "---\n"
		}
		if origins {
			head += "# " + origin(object.Origin, ", ") + "\n"
		}
		if _, err := fmt.Fprintf(out, "%s%s", head, content); err != nil {
			return err
		}
	}
	return nil
}

// origin writes where an object comes from.
func origin(o render.Origin, separator string) string {
	parts := []string{"path: " + quoted(fmt.Sprintf("%s:%d", o.Path, o.Line))}
	if o.Instance != "" {
		parts = append(parts, "instance: "+quoted(o.Instance))
	}
	return strings.Join(parts, separator)
}

// quoted is a value as YAML has it: between quotes where it has anything but letters,
// digits and what is common in names of files. A line end would end a comment.
func quoted(value string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._/:+=-", r)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(value)
	}
	return value
}
