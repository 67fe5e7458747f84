package fluxgen

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestManifestsAreThoseOfAnInstall(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts           Options
		wantNamespace  string
		wantComponents []string
	}{
		"the defaults of flux2": {
			wantNamespace:  "flux-system",
			wantComponents: []string{"helm-controller", "kustomize-controller", "notification-controller", "source-controller"},
		},
		"two components in another namespace": {
			opts:           Options{Namespace: "gitops", Components: []string{"source-controller", "kustomize-controller"}},
			wantNamespace:  "gitops",
			wantComponents: []string{"kustomize-controller", "source-controller"},
		},
		"components without a module": {
			opts:           Options{Components: []string{"image-reflector-controller", "image-automation-controller", "source-watcher"}},
			wantNamespace:  "flux-system",
			wantComponents: []string{"image-automation-controller", "image-reflector-controller", "source-watcher"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := builders.Objects(t, manifests(t, tc.opts))
			var components, crds []string
			for _, obj := range all {
				if ns := obj.GetNamespace(); ns != "" && ns != tc.wantNamespace {
					t.Errorf("%s %s is in namespace %s, want %s", obj.GetKind(), obj.GetName(), ns, tc.wantNamespace)
				}
				switch obj.GetKind() {
				case "Deployment":
					components = append(components, obj.GetName())
					labels := obj.GetLabels()
					if labels["app.kubernetes.io/part-of"] != "flux" || labels["app.kubernetes.io/version"] != "v2.9.5" ||
						labels["app.kubernetes.io/component"] != obj.GetName() || labels["app.kubernetes.io/instance"] != tc.wantNamespace {
						t.Errorf("labels of %s = %v", obj.GetName(), labels)
					}
				case "CustomResourceDefinition":
					crds = append(crds, obj.GetName())
				case "ClusterRoleBinding":
					var binding rbacv1.ClusterRoleBinding
					convert(t, obj, &binding)
					for _, subject := range binding.Subjects {
						if subject.Namespace != tc.wantNamespace {
							t.Errorf("%s binds %s in namespace %s, want %s", binding.Name, subject.Name, subject.Namespace, tc.wantNamespace)
						}
					}
				}
			}
			slices.Sort(components)
			if diff := cmp.Diff(tc.wantComponents, components); diff != "" {
				t.Errorf("Deployments (-want +got):\n%s", diff)
			}
			if len(crds) < len(tc.wantComponents) {
				t.Errorf("CRDs = %v, want at least one for each component", crds)
			}
		})
	}
}

// What is built from a controller's module is what a distribution that others
// built from the same sources holds.
func TestModuleAndDistributionAgree(t *testing.T) {
	t.Parallel()
	mods := modulesOfFlux(t)
	b := builder{modules: mods, work: t.TempDir()}
	for _, name := range []string{"kustomize-controller", "source-controller", "helm-controller"} {
		built, err := b.base(name)
		if err != nil {
			t.Fatal(err)
		}
		distributed, err := b.distributed(name)
		if err != nil {
			t.Fatal(err)
		}
		got, want := controller(t, built, name), controller(t, distributed, name)
		// The distribution may be a patch version behind.
		t.Logf("%s: built %s, distributed %s", name, got.Spec.Template.Spec.Containers[0].Image, want.Spec.Template.Spec.Containers[0].Image)
		got.Spec.Template.Spec.Containers[0].Image = ""
		want.Spec.Template.Spec.Containers[0].Image = ""
		if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
			t.Errorf("%s (-distributed +built):\n%s", name, diff)
		}
		if got.Spec.Template.Spec.PriorityClassName != "system-cluster-critical" {
			t.Errorf("%s: priority class = %q", name, got.Spec.Template.Spec.PriorityClassName)
		}
	}
}

func TestManifestsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	rootWith := func(mod string) string {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "tools", "flux"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tools", "flux", "go.mod"), []byte(mod), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		opts Options
		want string
	}{
		"an unknown component": {
			opts: Options{Root: root, Components: []string{"flux-controller"}},
			want: "building the base of flux-controller: flux 2.9.4 has no component of that name",
		},
		"a folder that is no repository": {
			opts: Options{Root: t.TempDir()},
			want: "running go mod edit in",
		},
		"a module that requires nothing": {
			opts: Options{Root: rootWith("module x\n\ngo 1.26.0\n\nrequire github.com/fluxcd/flux2/v2 v2.9.5\n")},
			want: "does not require github.com/controlplaneio-fluxcd/flux-operator",
		},
		"a go.mod that is none": {
			opts: Options{Root: rootWith("modul x\n")},
			want: "unknown directive: modul",
		},
		"an ended context": {
			ctx:  cancelled,
			opts: Options{Root: root},
			want: "context canceled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := tc.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, err := Manifests(ctx, tc.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v\nwant … %s …", err, tc.want)
			}
		})
	}
}

func manifests(t *testing.T, opts Options) []byte {
	t.Helper()
	out, err := Manifests(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func controller(t *testing.T, text []byte, name string) appsv1.Deployment {
	t.Helper()
	var deployment appsv1.Deployment
	convert(t, find(t, builders.Objects(t, text), "Deployment", name), &deployment)
	return deployment
}

func find(t *testing.T, all []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, obj := range all {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

// modulesOfFlux are those that its manifests are generated from.
func modulesOfFlux(t *testing.T) map[string]module {
	t.Helper()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	mods, err := modules(t.Context(), filepath.Join(root, "tools", "flux"))
	if err != nil {
		t.Fatal(err)
	}
	return mods
}
