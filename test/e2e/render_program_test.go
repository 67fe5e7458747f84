//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// renderer runs mainstay render.
type renderer struct {
	program string
	// distribution is the folder that is in the image of flux-operator too.
	distribution string
}

func newRenderer(t *testing.T, root string) *renderer {
	t.Helper()
	r := &renderer{program: filepath.Join(t.TempDir(), "mainstay")}
	if err := tools.BuildProgram(t.Context(), root, "./controller/cmd/mainstay", "", r.program); err != nil {
		t.Fatal(err)
	}
	source, err := tools.SourceDir(t.Context(), root, tools.FluxOperator, "github.com/controlplaneio-fluxcd/flux-operator")
	if err != nil {
		t.Fatal(err)
	}
	r.distribution = filepath.Join(source, "config", "data")
	return r
}

// render returns the objects that are made of the FluxInstance in a file, by their
// inventory entry, or what is said where it fails.
func (r *renderer) render(t *testing.T, file string) (map[string]*unstructured.Unstructured, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), r.program, "render", file, "--root", filepath.Dir(file), "--distribution", r.distribution, "-o", "json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Sprintf("%v: %s", err, stderr.String())
	}
	var list unstructured.UnstructuredList
	if err := json.Unmarshal(stdout.Bytes(), &list); err != nil {
		t.Fatalf("reading the render: %v", err)
	}
	out := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		if object := &list.Items[i]; object.GetKind() != "FluxInstance" {
			out[inventoryID(object)] = object
		}
	}
	return out, ""
}

// inventoryID is how the inventory of a FluxInstance names an object, with its version.
func inventoryID(object *unstructured.Unstructured) string {
	gvk := object.GroupVersionKind()
	name := strings.ReplaceAll(object.GetName(), ":", "__")
	return fmt.Sprintf("%s_%s_%s_%s %s", object.GetNamespace(), name, gvk.Group, gvk.Kind, gvk.Version)
}
